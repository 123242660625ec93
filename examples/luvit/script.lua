-- Shows an app in the shape of luvit's HTTP cluster: one call answers all requests of a connection.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/path

return function(read, write)
    for req in read do
        local size = 0
        for part in read do
            if part == '' then
                break
            end
            size = size + #part
        end
        local body = string.format('%s %s with %d bytes\n', req.method, req.path, size)
        write({
            code = 200,
            { 'Server', 'Luvit' },
            { 'Content-Type', 'text/plain' },
            { 'Content-Length', #body },
        })
        write(body)
    end
    write()
end
