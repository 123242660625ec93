-- What lgateway serves in the bench: curl --http2 -k https://127.0.0.1:PORT/bench/hello
local httpd = require 'httpd'

local BLOCK = 65536

local function head(type)
    httpd.header { [':status'] = '200', ['content-type'] = type }
end

httpd.register_handler('/hello', function()
    head('text/plain')
    httpd.write(nil, '{{BODY}}')
end)

for name, size in pairs { ['/memory-10k'] = 10 * 1024, ['/memory-1m'] = 1024 * 1024 } do
    -- made at the first request: a start is measured, too
    local content
    httpd.register_handler(name, function()
        content = content or ('x'):rep(size)
        head('application/octet-stream')
        httpd.write(nil, content)
    end)
end

httpd.register_handler('/env', function(env, header)
    head('text/plain')
    local lines = {}
    for _, list in ipairs { env, header } do
        for k, v in pairs(list) do
            lines[#lines + 1] = k .. ': ' .. v .. '\n'
        end
    end
    httpd.write(nil, table.concat(lines))
end)

httpd.register_handler('/download', function()
    local file <close> = assert(io.open('{{PAYLOAD}}', 'rb'))
    head('application/octet-stream')
    while true do
        local block = httpd.read(file, BLOCK)
        if not block then break end
        httpd.write(nil, block)
    end
end)

httpd.register_handler('/download-4k', function()
    local file <close> = assert(io.open('{{PAYLOAD}}', 'rb'))
    head('application/octet-stream')
    while true do
        local block = httpd.read(file, 4096)
        if not block then break end
        httpd.write(nil, block)
    end
end)

httpd.register_handler('/copy', function()
    local file <close> = assert(io.open('{{PAYLOAD}}', 'rb'))
    head('application/octet-stream')
    httpd.copy(nil, file)
end)

httpd.register_handler('/sendfile', function()
    httpd.sendfile('{{PAYLOAD}}')
end)

local SMALL_FILES = 10000
local small = 0

httpd.register_handler('/small-files', function()
    small = (small + 1) % SMALL_FILES
    local file <close> = assert(io.open('{{SMALL}}/' .. small, 'rb'))
    local bytes = httpd.read(file, 'a')
    head('application/octet-stream')
    httpd.write(nil, bytes)
end)

--- Stores the request body through `write`, in reads of `size` bytes, and answers with the count of bytes.
local function store(size, write)
    local file <close> = assert(io.open('{{STORE}}', 'wb'))
    local total = 0
    while true do
        local block = httpd.read(nil, size)
        if not block then break end
        write(file, block)
        total = total + #block
    end
    assert(file:close())
    head('text/plain')
    httpd.write(nil, tostring(total))
end

httpd.register_handler('/upload', function()
    store(BLOCK, httpd.write)
end)

httpd.register_handler('/multipart', function()
    local total = 0
    for part in httpd.multipart() do
        local file <close> = assert(io.open('{{STORE}}', 'wb'))
        total = total + assert(httpd.copy(file, part))
        assert(httpd.close(file))
    end
    head('text/plain')
    httpd.write(nil, tostring(total))
end)

httpd.register_handler('/small-reads', function()
    store(4, function(file, block) assert(file:write(block)) end)
end)

httpd.register_handler('/echo', function()
    head('application/octet-stream')
    while true do
        local block = httpd.read(nil, BLOCK)
        if not block then break end
        httpd.write(nil, block)
    end
end)

httpd.register_handler('/busy', function(env)
    local till = os.clock() + tonumber(env.QUERY_INFO)
    while os.clock() < till do end
    head('text/plain')
    httpd.write(nil, 'done')
end, { cpu = 60 })

local counters = httpd.shared('bench')
httpd.register_handler('/shared-incr', function(env)
    for _ = 1, tonumber(env.QUERY_INFO) do counters:incr('counter', 1, 0) end
    head('text/plain')
    httpd.write(nil, env.WORKER_ID)
end, { cpu = 60 })

-- each answers how many messages it has got, itself or as lost
httpd.register_handler('/subscribe', function()
    local sub <close> = assert(httpd.subscribe('bench', { queue = 1000 }))
    head('text/plain')
    httpd.write(nil, '.')
    local count = 0
    for message, _, lost in sub:messages() do
        count = count + 1 + lost
        if message == 'end' then break end
    end
    httpd.write(nil, count)
end, { cpu = 60 })

httpd.register_handler('/publish', function(env)
    local message = ('x'):rep(100)
    for _ = 2, tonumber(env.QUERY_INFO) do
        httpd.publish('bench', message)
        httpd.sleep(0)
    end
    head('text/plain')
    httpd.write(nil, httpd.publish('bench', 'end'))
end, { cpu = 60 })

local KIB = ('x'):rep(1024)
httpd.register_handler('/hmac', function(env)
    for _ = 1, tonumber(env.QUERY_INFO) do httpd.crypto.hmac('sha256', 'the key of both sides', KIB) end
    head('text/plain')
    httpd.write(nil, 'done')
end, { cpu = 60 })

local function make_page()
    local rows = {}
    for i = 1, 3000 do
        rows[i] = ('<tr><td>%d</td><td>name %x</td><td>%d</td></tr>\n'):format(i, i * 2654435761 % 4294967296, i * i % 9973)
    end
    return table.concat(rows):sub(1, 100 * 1024)
end
local page
httpd.register_handler('/gzip', function()
    page = page or make_page()
    httpd.compress(true)
    head('text/html')
    httpd.write(nil, page)
end)

httpd.register_handler('/fetch', function(env)
    local response <close> = assert(httpd.fetch(env.QUERY_INFO))
    head('text/plain')
    httpd.copy(nil, response)
end)

httpd.register_handler('/proxy-lua/{bytes}', function()
    httpd.proxy('http://127.0.0.1:{{UPSTREAM}}')
end)

httpd.register_handler('/websocket-echo', function()
    local ws = assert(httpd.websocket())
    for message, kind in ws:messages() do
        ws:send(message, kind == 'binary' and 'binary' or nil)
    end
end)
