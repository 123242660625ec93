/** What each of three machines serves: `MACHINE` stands for its name. */

const APP = `local httpd = require 'httpd'
local function say(...) httpd.write(nil, table.concat({...}, ' ')) end

httpd.register_handler('/', function(env) say('MACHINE', env.CLIENT_ADDR) end)

-- long enough for a store that stands still for a while
local counts = httpd.shared('counts', {timeout = 30})
httpd.register_handler('/count', function(env) say(assert(counts:incr(env.QUERY_INFO, 1, 0))) end)

local session = require 'lgateway.session'
local keys = {('k'):rep(32)}
local sessions = {
    sealed = session.new{keys = keys, name = '__Host-sealed'},
    shared = session.new{keys = keys, name = '__Host-shared', store = 'shared'},
}
httpd.register_handler('/visit', function(env, header)
    local found = sessions[env.QUERY_INFO]:open(header)
    found.data.visits = (found.data.visits or 0) + 1
    httpd.header{[':status'] = 200, ['set-cookie'] = assert(found:save())}
    say('MACHINE', found.data.visits)
end)

httpd.register_handler('/publish', function(env) httpd.publish('news', env.QUERY_INFO) end)
httpd.register_handler('/events', function()
    local sub = assert(httpd.subscribe('news'))
    local s = assert(httpd.sse())
    s:send('listening')
    for text in sub:messages() do s:send(text) end
end)`;

/** Of addresses, as the balancer tells them. */
const LIMITED = `require 'lgateway.ratelimit'.use{limit = 20, window = 86400}
require 'httpd'.register_handler('/', function() require 'httpd'.write(nil, 'done') end)`;

/** A short task each half second, one that goes on while it is wanted, and one of a start; each run tells who has it, and its fence. */
const TIMERS = `local httpd = require 'httpd'
local runs, patient = httpd.shared('runs'), httpd.shared('runs', {timeout = 30})
local function note(name, fence)
    local n = patient:incr(name, 1, 0)
    if n then patient:set(name .. ':' .. n, ('MACHINE %d'):format(fence)) end
end
local function isWanted()
    local value, _, code = runs:get('wanted')
    return value ~= nil or code ~= nil
end
httpd.timer(0, function(fence) note('short', fence) end, {every = 0.5, once = 'short'})
httpd.timer(0, function(fence)
    if not isWanted() then return end
    note('long', fence)
    while isWanted() do httpd.sleep(0.2) end
end, {every = 0.5, once = 'long', timeout = 0})
httpd.timer(0, function(fence) note('start', fence) end, {once = 'start'})
httpd.register_handler('/', function() end)`;

/**
 * Counts, reads and writes, and tells of each call how long it took and how late timers of this worker were meanwhile, so that a busy machine is not taken for a
 * call that hangs.
 */
const STEPS = `local httpd = require 'httpd'
local TICK = 0.01
local function open(name)
    return {
        plain = httpd.shared(name, {timeout = 0.3}),
        near = httpd.shared(name, {timeout = 0.3, near = true}),
    }
end
local dictionaries = {alone = open('alone'), clustered = open('clustered')}

httpd.register_handler('/', function(env)
    local name, key = env.QUERY_INFO:match('^(%a+)=(.+)$')
    local plain, near = dictionaries[name].plain, dictionaries[name].near
    local isOver, late, last = false, 0, httpd.now()
    local function look()
        local now = httpd.now()
        late, last = math.max(late, now - last - TICK), now
    end
    httpd.spawn(function()
        while not isOver do
            httpd.sleep(TICK)
            look()
        end
    end)
    local calls = {}
    local function timed(dictionary, method, ...)
        look()
        late = 0
        local began = httpd.now()
        local value, message, code = dictionary[method](dictionary, ...)
        local seconds = httpd.now() - began
        look()
        calls[#calls + 1] = {method = method, ms = seconds * 1000, late = late * 1000, value = value, code = code, message = message}
        return value
    end
    local sum = timed(plain, 'incr', key, 1, 0)
    timed(plain, 'get', key)
    timed(near, 'get', key)
    timed(plain, 'set', 'text:' .. key, ('%s from MACHINE, %s'):format(key, sum))
    timed(near, 'get', 'text:' .. key)
    isOver = true
    httpd.write(nil, httpd.json.encode(calls))
end)`;

export const MACHINE_SCRIPTS: Readonly<Record<string, string>> = {
  '/': APP,
  '/limited': LIMITED,
  '/steps': STEPS,
  '/timers': TIMERS,
};
