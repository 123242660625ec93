-- What lgateway serves as a script with many patterns in the bench: curl --http2 -k https://127.0.0.1:PORT/bench/routes-1000/r500/users/7
local httpd = require 'httpd'

local function hello()
    httpd.header { [':status'] = '200', ['content-type'] = 'text/plain' }
    httpd.write(nil, '{{BODY}}')
end

for i = 1, 1000 do
    httpd.register_handler('/r' .. i .. '/users/{id}', hello)
end
httpd.register_handler('/plain', hello)
