-- Shows a file on its way to a client, piece by piece and at the client's speed: this script itself.
-- curl --cacert certs/development/certificate.pem -o copy.lua https://localhost:8443/file
local httpd = require 'httpd'

local CHUNK_BYTES = 65536

httpd.register_handler('/file', function(env)
    local file <close>, message = io.open(env.SCRIPT_FILENAME, 'rb')
    if file == nil then
        httpd.header{[':status'] = 404, ['content-type'] = 'text/plain'}
        httpd.write(nil, message .. '\n')
        return
    end
    local length = assert(file:seek('end'))
    assert(file:seek('set'))
    httpd.header{
        [':status'] = 200,
        ['content-type'] = 'text/x-lua; charset=utf-8',
        ['content-length'] = length,
        ['content-disposition'] = 'attachment; filename="script.lua"',
    }
    while true do
        -- at the end data is nil; a file that cannot be read on is a failure, and the client sees a cut answer
        local data, problem = httpd.read(file, CHUNK_BYTES)
        if data == nil then
            return assert(problem == nil, problem)
        end
        httpd.write(nil, data)
    end
end)
