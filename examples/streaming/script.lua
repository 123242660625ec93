-- Shows bytes that go out while others still come in: an echo in capitals, and a line every half second.
-- curl --no-buffer --cacert certs/development/certificate.pem --data-binary "hello there" https://localhost:8443/echo
local httpd = require 'httpd'

-- Whatever has arrived is answered at once; a slow client is waited for, and its body is never in memory as a whole.
httpd.register_handler('/echo', function()
    httpd.header{[':status'] = 200, ['content-type'] = 'text/plain'}
    while true do
        local data = httpd.read(nil)
        if data == nil then
            break
        end
        httpd.write(nil, data:upper())
    end
    httpd.write(nil, '\n')
end)

-- The program that keeps the time ends with the exchange, also when the client goes away.
httpd.register_handler('/ticks', function()
    local pipe <close> = assert(io.popen('for i in 1 2 3; do echo tick $i; sleep 0.5; done'))
    httpd.header{[':status'] = 200, ['content-type'] = 'text/plain'}
    for line in pipe:lines('L') do
        httpd.write(nil, line)
    end
end)
