-- What lgateway serves behind a hook in the bench: curl --http2 -k https://127.0.0.1:PORT/bench/hook-hello
local httpd = require 'httpd'

httpd.hook('request', function(_, header)
    if header['x-refused'] then httpd.exit(403) end
end)

httpd.register_handler('/', function()
    httpd.header { [':status'] = '200', ['content-type'] = 'text/plain' }
    httpd.write(nil, '{{BODY}}')
end)
