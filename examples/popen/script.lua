-- Shows the output of a program as an answer, and a program that is fed from the request body.
-- curl --cacert certs/development/certificate.pem --data-binary "one two three" https://localhost:8443/count
local httpd = require 'httpd'

local CHUNK_BYTES = 4096

-- What a program prints, as it prints it; one that runs long holds up nobody else.
httpd.register_handler('/system', function()
    local pipe <close>, message = io.popen('uname -s')
    if pipe == nil then
        httpd.header{[':status'] = 503, ['content-type'] = 'text/plain'}
        httpd.write(nil, message .. '\n')
        return
    end
    httpd.header{[':status'] = 200, ['content-type'] = 'text/plain'}
    for line in pipe:lines('L') do
        httpd.write(nil, line)
    end
end)

-- The body goes to the standard input of a program; nothing of it ever becomes part of the command.
httpd.register_handler('/count', function()
    local name = os.tmpname()
    local _ <close> = setmetatable({}, {__close = function() os.remove(name) end})
    local pipe = assert(io.popen('wc -w > ' .. name, 'w'))
    while true do
        local data = httpd.read(nil, CHUNK_BYTES)
        if data == nil then
            break
        end
        assert(httpd.write(pipe, data))
    end
    local ok, how, code = pipe:close()
    local result <close> = assert(io.open(name, 'rb'))
    httpd.header{[':status'] = ok and 200 or 500, ['content-type'] = 'text/plain'}
    httpd.write(nil, 'words: ' .. (tonumber(result:read('a')) or '?') .. ', ' .. how .. ' ' .. code .. '\n')
end)
