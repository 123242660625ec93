-- What lgateway serves with a hook behind requests in the bench: curl --http2 -k https://127.0.0.1:PORT/bench/hook-log-hello
local httpd = require 'httpd'

local requests, slow = 0, 0
httpd.hook('log', function(_, record)
    requests = requests + 1
    if record.ms > 1000 then slow = slow + 1 end
end)

httpd.register_handler('/', function()
    httpd.header { [':status'] = '200', ['content-type'] = 'text/plain' }
    httpd.write(nil, '{{BODY}}')
end)
