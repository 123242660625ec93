-- What lgateway serves with a hook that sees heads in the bench: curl --http2 -k https://127.0.0.1:PORT/bench/hook-response-hello
local httpd = require 'httpd'

httpd.hook('response', function(_, head)
    head['x-frame-options'] = 'DENY'
end)

httpd.register_handler('/', function()
    httpd.header { [':status'] = '200', ['content-type'] = 'text/plain' }
    httpd.write(nil, '{{BODY}}')
end)
