-- The functions a script for luars finds, and what makes a handler of its own (luars.ts).
local httpd, request, respond = ...
local open, getenv, print, tostring = io.open, os.getenv, print, tostring

local function failed(name, message)
    return nil, name .. ' error: ' .. tostring(message)
end

local globals = {
    time = httpd.now,
    env = getenv,
    sleep = function(seconds)
        httpd.sleep(seconds == nil and 1 or seconds)
        return true
    end,
    log = function(message)
        print('[lua] ' .. tostring(message))
    end,
    read_file = function(path)
        local file, message = open(path, 'rb')
        if not file then return failed('read_file', message) end
        local content, reason = file:read('a')
        file:close()
        if not content then return failed('read_file', reason) end
        return content
    end,
    write_file = function(path, content)
        local file, message = open(path, 'wb')
        if not file then return failed('write_file', message) end
        local written, reason = file:write(content)
        local closed, problem = file:close()
        if not written or not closed then return failed('write_file', reason or problem) end
        return true
    end,
    http_get = function(url)
        local response, message = httpd.fetch(url)
        if not response then return failed('http_get', message) end
        local body, reason = httpd.read(response, 'a')
        if not body then return failed('http_get', reason) end
        return body, response.status, response.headers
    end,
}

local function wrap(handle, isShort)
    if isShort then
        return function()
            local method, path, body = request(true)
            if method then return respond(handle(method, path, body)) end
        end
    end
    return function()
        local method, path, query, headers, body = request(false)
        if method then return respond(handle(method, path, query, headers, body)) end
    end
end

return globals, wrap
