-- What lgateway serves with a store in the bench: curl --http2 -k https://127.0.0.1:PORT/bench/store/incr
local httpd = require 'httpd'

local TASKS = 64
local DICTIONARIES = 100
local KEYS_STEP = 7919
local VALUE = ('x'):rep(64)

local memory = httpd.shared('memory')
local near = httpd.shared('d1', { near = true })
local dictionaries = {}
for i = 1, DICTIONARIES do
    dictionaries[i] = httpd.shared('d' .. i)
end

local function answer(text)
    httpd.header { [':status'] = '200', ['content-type'] = 'text/plain' }
    httpd.write(nil, text)
end

--- Calls `call(1)` to `call(count)`, of which so many are under way at any time as there are tasks.
local function at_once(count, call)
    local tasks, next_call = {}, 0
    local function work()
        while next_call < count do
            next_call = next_call + 1
            call(next_call)
        end
    end
    for i = 1, TASKS do
        tasks[i] = httpd.spawn(work)
    end
    for _, task in ipairs(tasks) do
        local _, ok, failure = httpd.wait(task)
        assert(ok, failure)
    end
    answer('done')
end

local function numbers(env)
    local count, keys, used = env.QUERY_INFO:match('^(%d+)-(%d+)-(%d+)$')
    return tonumber(count), tonumber(keys), tonumber(used)
end

local UNLIMITED = { cpu = 0 }

-- the query: calls, keys, dictionaries
httpd.register_handler('/fill', function(env)
    local count, keys, used = numbers(env)
    at_once(count, function(i)
        assert(dictionaries[i // keys % used + 1]:set('key' .. i % keys, VALUE))
    end)
end, UNLIMITED)

httpd.register_handler('/get', function(env)
    local count, keys, used = numbers(env)
    at_once(count, function(i)
        assert(dictionaries[i % used + 1]:get('key' .. i * KEYS_STEP % keys))
    end)
end, UNLIMITED)

httpd.register_handler('/incr-many', function(env)
    local count = numbers(env)
    at_once(count, function()
        assert(dictionaries[1]:incr('counter', 1, 0))
    end)
end, UNLIMITED)

local function loop(dictionary)
    return function(env)
        assert(dictionary:set('near', VALUE))
        for _ = 1, tonumber(env.QUERY_INFO) do
            assert(dictionary:get('near'))
        end
        answer('done')
    end
end
httpd.register_handler('/near', loop(near), UNLIMITED)
httpd.register_handler('/memory', loop(memory), UNLIMITED)

httpd.register_handler('/incr', function()
    answer(tostring(assert(dictionaries[1]:incr('requests', 1, 0))))
end)

httpd.register_handler('/memory-incr', function()
    answer(tostring(assert(memory:incr('requests', 1, 0))))
end)

-- a line for each message
httpd.register_handler('/events', function()
    local sub <close> = assert(httpd.subscribe('bench'))
    answer('.\n')
    for message in sub:messages() do
        httpd.write(nil, message .. '\n')
    end
end)

httpd.register_handler('/publish', function(env)
    httpd.publish('bench', env.QUERY_INFO)
    answer('published')
end)
