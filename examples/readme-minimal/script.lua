-- Shows the smallest whole script: one handler that lists what it is told about a request.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/name/bar
local httpd = require 'httpd'

local function foo(env, header)
    httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}
    httpd.write(nil, 'Environment:\n')
    for k, v in pairs(env) do
        httpd.write(nil, k .. ' ' .. v .. '\n')
    end
    httpd.write(nil, 'Header:\n')
    for k, v in pairs(header) do
        httpd.write(nil, k .. ' ' .. v .. '\n')
    end
end

httpd.register_handler('/bar', foo)
