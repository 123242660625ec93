-- Shows the other shape of luars' scripts: a returned function of five parameters, which needs nothing but the sandbox.
-- curl --cacert certs/development/certificate.pem 'https://localhost:8443/hello?name=Lua%20user'

local SLEEP_SECONDS = 0.05
local SLEEP_SECONDS_MAX = 2

-- the state lives as long as its worker, and each worker counts for itself
local requests = 0

local function decode(text)
    return (text:gsub('+', ' '):gsub('%%(%x%x)', function(digits)
        return string.char(tonumber(digits, 16))
    end))
end

local function parameter(query, name)
    for key, value in query:gmatch('([^&=]+)=([^&]*)') do
        if decode(key) == name then
            return decode(value)
        end
    end
end

local function text(status, body)
    return status, 'text/plain; charset=utf-8', body
end

local function json(status, body)
    return status, 'application/json; charset=utf-8', body
end

-- a JSON string
local function quote(value)
    return '"' .. value:gsub('[%c"\\\127]', function(byte)
        return string.format('\\u%04x', byte:byte())
    end) .. '"'
end

local routes = {}

routes['/'] = function()
    return text(200, 'hello from sandboxed high-level luars')
end

routes['/health'] = function()
    return json(200, string.format('{"status":"ok","requests":%d}', requests))
end

routes['/hello'] = function(query)
    return text(200, 'hello, ' .. (parameter(query, 'name') or 'world'))
end

routes['/time'] = function()
    return json(200, string.format('{"unix_seconds":%.3f,"worker_requests":%d}', time(), requests))
end

routes['/sleep'] = function(query)
    local seconds = tonumber(parameter(query, 'seconds') or SLEEP_SECONDS) or SLEEP_SECONDS
    seconds = math.max(0, math.min(seconds, SLEEP_SECONDS_MAX))
    sleep(seconds)
    return text(200, string.format('slept for %.3f seconds', seconds))
end

routes['/file'] = function(query)
    local path = parameter(query, 'path') or 'README.md'
    if path:find('..', 1, true) or path:find('^[/\\]') then
        return text(400, 'path traversal is not allowed')
    end
    local content, message = read_file(path)
    if not content then
        return text(404, message)
    end
    return text(200, content)
end

local function answer(method, path, query)
    local route = method == 'GET' and routes[path]
    if route then
        return route(query)
    end
    return json(404, '{"error":"not found","path":' .. quote(path) .. '}')
end

return function(method, path, query, headers, body)
    requests = requests + 1
    local ok, status, content_type, content = pcall(answer, method, path, query)
    if not ok then
        log('error: ' .. tostring(status))
        return json(500, '{"error":"internal error"}')
    end
    return status, content_type, content
end
