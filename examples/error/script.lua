-- Shows what a client gets when a script fails: before its head, in the middle of its answer, and caught by itself.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/before
local httpd = require 'httpd'

-- Nothing has been sent yet: the client gets a 500 page, the log gets the message and a traceback.
httpd.register_handler('/before', function()
    error('nothing was sent')
end)

-- A part has been sent: the answer is broken off, so that nobody takes it for the whole.
httpd.register_handler('/middle', function()
    httpd.header{[':status'] = 200, ['content-type'] = 'text/plain'}
    httpd.write(nil, 'only a part\n')
    -- meanwhile that part is on its way
    httpd.sleep(0.2)
    error('a part was sent')
end)

-- Errors of the calls are Lua errors: pcall catches them, also around calls that wait.
httpd.register_handler('/caught', function()
    local ok, message = pcall(httpd.header, {[':status'] = '200', ['x-note'] = 'two\nlines'})
    httpd.header{[':status'] = 500, ['content-type'] = 'text/plain'}
    httpd.write(nil, 'caught: ' .. (ok and 'nothing' or message) .. '\n')
end)

-- A handler that sends nothing at all gets its client a 500 page, too.
httpd.register_handler('/silent', function() end)
