-- What lgateway serves as a luvit app in the bench: curl --http2 -k https://127.0.0.1:PORT/bench/luvit-hello
return function(req)
    return { code = 200, { 'Content-Type', 'text/plain' } }, '{{BODY}}'
end
