-- Shows files sent without passing through Lua, with all that HTTP knows of them; here: this folder itself.
-- curl --cacert certs/development/certificate.pem -r 0-7 https://localhost:8443/files/script.lua
local httpd = require 'httpd'

httpd.register_handler('/notfound', function(env)
    local folder = env.SCRIPT_FILENAME:match('^(.*)/') or '.'
    local name = env.PATH_INFO:match('^/files/(.+)$')
    local message, code = 'There is no such page', 'notfound'
    if name ~= nil then
        local bytes
        -- whatever the client asks for, nothing outside of the folder is sent
        bytes, message, code = httpd.sendfile(name, {root = folder, precompressed = true})
        if bytes ~= nil then
            return
        end
    end
    httpd.header{[':status'] = code == 'notfound' and 404 or 403, ['content-type'] = 'text/plain'}
    httpd.write(nil, message .. '\n')
end)

-- Saves it under another name.
httpd.register_handler('/save', function(env)
    assert(httpd.sendfile(env.SCRIPT_FILENAME, {download = 'example.lua', type = 'text/x-lua'}))
end)

-- Bytes from one stream to another: the answer is what the program says to the body of the request.
httpd.register_handler('/sort', function()
    local name = os.tmpname()
    local file <close> = assert(io.open(name, 'w+'))
    assert(httpd.copy(file, nil))
    assert(file:close())
    local sorted <close> = assert(io.popen('sort ' .. name))
    assert(httpd.copy(nil, sorted))
    assert(os.remove(name))
end)
