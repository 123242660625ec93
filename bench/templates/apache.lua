function handle(r)
    r.content_type = 'text/plain'
    r:puts('{{BODY}}')
    return apache2.OK
end
