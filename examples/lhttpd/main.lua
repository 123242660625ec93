-- In the manner of lhttpd's main.lua: a page, its script and picture, and a "not found" page of its own.
-- npm start -- -l / examples/lhttpd/main.lua
-- curl --cacert certs/development/certificate.pem https://localhost:8443/
httpd = require 'httpd'

httpd.register_handler('/', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'text/html'}
    httpd.write(nil, '<html><head><script src="/js"></script></head><body><img src="/p1"></body></html>')
end)

httpd.register_handler('/js', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'application/javascript'}
    httpd.write(nil, 'console.log("main");')
end)

-- A missing file makes this a read of the request body, which is empty: the answer is, too.
httpd.register_handler('/p1', function()
    local f = io.open('/pub/webui/p1.png')
    httpd.header{[':status'] = '200', ['content-type'] = 'image/png'}
    local data = httpd.read(f, 4096)
    while data do
        httpd.write(nil, data)
        data = httpd.read(f, 4096)
    end
    if f then
        f:close()
    end
end)

httpd.register_handler('/notfound', function()
    local body = '<html><body>There is no such page</body></html>'
    httpd.header{[':status'] = '404', ['content-type'] = 'text/html', ['Content-length'] = #body}
    httpd.write(nil, body)
end)
