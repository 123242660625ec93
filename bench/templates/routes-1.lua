-- What lgateway serves as a script with one pattern in the bench: curl --http2 -k https://127.0.0.1:PORT/bench/routes-1/r500/users/7
local httpd = require 'httpd'

local function hello()
    httpd.header { [':status'] = '200', ['content-type'] = 'text/plain' }
    httpd.write(nil, '{{BODY}}')
end

httpd.register_handler('/r500/users/{id}', hello)
httpd.register_handler('/plain', hello)
