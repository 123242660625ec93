-- In the manner of lhttpd's upload.lua: saves a POST body as file.txt, four bytes at a time, by its declared length.
-- npm start -- -l / examples/lhttpd/upload.lua
-- curl --cacert certs/development/certificate.pem --data-binary @photo.jpg https://localhost:8443/upload
httpd = require 'httpd'

httpd.register_handler('/upload', function(env, head)
    local method = env["SERVER_PROTOCOL"] == "HTTP/2" and head[':method'] or head['method']
    if method ~= 'POST' then
        httpd.header{[':status'] = '200', ['content-type'] = 'text/html'}
        httpd.write(nil, 'Use POST')
        return
    end
    local len = 0
    for k, v in pairs(head) do
        if string.lower(k) == 'content-length' then
            len = tonumber(v)
        end
    end
    local f = io.open('file.txt', 'w+')
    local data = ''
    while data and len > 0 do
        data = httpd.read(nil, math.min(4, len))
        -- writes nothing when data is nil
        httpd.write(f, data)
        if data then
            len = len - #data
        end
    end
    f:close()
    httpd.header{[':status'] = '200', ['content-type'] = 'text/html'}
    httpd.write(nil, 'Saved')
end)
