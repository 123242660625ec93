-- In the manner of lhttpd's handler.lua: lists the environment and the head of a request.
-- npm start -- -l /x examples/lhttpd/handler.lua
-- curl --cacert certs/development/certificate.pem https://localhost:8443/x/handler
httpd = require 'httpd'

local function handler(env, head)
    httpd.header{[':status'] = '200', ['content-type'] = 'text/html; charset=utf-8'}
    httpd.write(nil, '<h3>Environment:</h3>')
    for k, v in pairs(env) do
        httpd.write(nil, k .. ' ' .. v .. '<br/>')
    end
    httpd.write(nil, '<h3>Head:</h3>')
    for k, v in pairs(head) do
        httpd.write(nil, k .. ' ' .. v .. '<br/>')
    end
end

httpd.register_handler('/handler', handler)
