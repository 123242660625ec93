-- Limits how many requests a client may send in a time, over all workers together: the others get 429 with Retry-After, and every answer
-- says what is left (RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-10).
--
--     require 'lgateway.ratelimit'.use {limit = 100, window = 60}
--
-- It counts in a sliding window: the requests of this window, and those of the one before as far as it still lies in the time that is
-- looked at. That takes one atomic step of a dictionary and a look; a counter for each window alone lets twice the limit through where
-- two windows meet. With `burst` it keeps a bucket of tokens instead: so many requests may come at once, and what was taken comes back
-- evenly, `limit` in a `window`. The counters stand in a dictionary of httpd.shared, whose memory is bounded: where it is full, those
-- are forgotten that were not used for longest. In a store (--store) all machines count together.
local httpd = require 'httpd'
local options = require 'lgateway.options'

local LIMIT_MAX = 1000000000
local WINDOW_SECONDS_MAX = 86400
-- Bytes of a name.
local NAME_BYTES_MAX = 64
-- What identifies a counter is hashed where it is longer: the memory of a counter does not depend on what a client sends.
local COUNTER_BYTES_MAX = 128
-- Floats are not exact: so much of the limit, and so many seconds, are nothing.
local ROUNDING = 1e-6
-- Seconds between two lines of the log that say that the dictionary fails.
local WARNING_SECONDS = 10
-- Buckets count in whole nanoseconds, in which sums are exact.
local UNITS_PER_SECOND = 1000000000
-- An empty bucket is forgotten so many seconds later.
local BUCKET_KEPT_SECONDS = 60

local KINDS = {
    limit = 'number', window = 'number', burst = 'number', key = 'function', name = 'string', dictionary = 'string', fields = 'boolean',
}
local DEFAULTS = {window = 60, name = 'default', dictionary = 'ratelimit', fields = true}

-- Where ctx has what the answer says, by policy.
local STATES = {}

local ratelimit = {}

-- The groups of an IPv6 address that name a network of 64 bits, zeros that are left out included.
local function network_groups(address)
    local groups = {}
    local front, behind = address:match('^(.-)::(.*)$')
    for group in (front or address):gmatch('%x+') do
        groups[#groups + 1] = group
    end
    local _, count = (behind or ''):gsub('%x+', '')
    while #groups < 8 - count do
        groups[#groups + 1] = '0'
    end
    for group in (behind or ''):gmatch('%x+') do
        groups[#groups + 1] = group
    end
    return groups
end

-- Whose the requests from an address are: those of all addresses of an IPv6 network of 64 bits are one client's, who has them all.
local function client_of(address)
    local ipv4 = address:match('(%d+%.%d+%.%d+%.%d+)$')
    if ipv4 or not address:find(':', 1, true) then
        return ipv4 or address
    end
    return table.concat(network_groups(address:gsub('%%.*', '')), ':', 1, 4)
end

-- How long, in windows, until one request more fits, when `passed` of this window is over: those of the window before fade as it goes on,
-- those of this one in the next.
local function wait_of(limit, before, current, passed)
    local free = limit - 1 - current
    if free >= 0 then
        return before > 0 and math.max(0, 1 - free / before - passed) or 0
    end
    return 1 - passed + math.max(0, 1 - (limit - 1) / current)
end

local function whole_seconds(seconds)
    return math.max(1, math.ceil(seconds - ROUNDING))
end

-- The value of a field with one more.
local function append(value, text)
    if type(value) == 'table' then
        value = table.concat(value, ', ')
    end
    return value and value .. ', ' .. text or text
end

-- `limit`: requests in a `window` of seconds, for each client of this mapping. `key(env, header)`: whose the request is, a string or an
-- integer, nil for no limit; the network of the client without it. `name`: of the policy, where a mapping has several. `dictionary`: that
-- of httpd.shared with the counters. `burst`: how many requests may come at once, where tokens are counted. `fields`: false leaves
-- RateLimit and RateLimit-Policy out.
function ratelimit.use(given)
    local read = options.read('ratelimit', given, KINDS, DEFAULTS)
    local limit, window, name = read.limit, read.window, read.name
    options.check(math.type(limit) == 'integer' and limit >= 1 and limit <= LIMIT_MAX,
        'option "limit" has to be an integer from 1 to ' .. LIMIT_MAX)
    options.check(window >= 1 and window <= WINDOW_SECONDS_MAX, 'option "window" has to be 1 to ' .. WINDOW_SECONDS_MAX .. ' seconds')
    options.check(#name <= NAME_BYTES_MAX and name:find('^[%w_-]+$'), 'option "name" has to be letters, digits, "_" and "-"')
    local burst = read.burst
    options.check(burst == nil or math.type(burst) == 'integer' and burst >= 1 and burst <= LIMIT_MAX,
        'option "burst" has to be an integer from 1 to ' .. LIMIT_MAX)
    local dictionary, message = httpd.shared(read.dictionary)
    options.check(dictionary, message)
    local key_of = read.key or function(env)
        return client_of(env.CLIENT_ADDR)
    end
    local policy = ('"%s";q=%d;w=%d'):format(name, limit, math.ceil(window))
    local warned_at = -math.huge

    -- A limit that cannot be kept is no reason to answer nobody.
    local function warn(now, reason)
        if math.abs(now - warned_at) >= WARNING_SECONDS then
            warned_at = now
            httpd.log('warn', 'Requests are not limited:', reason)
        end
    end

    local step = math.max(1, math.floor(window * UNITS_PER_SECOND / limit))
    local full = burst and math.tointeger(math.min(burst * (step + 0.0), 2 ^ 61) // 1)
    -- machines and requests do not agree about the time to the nanosecond, and half a token is none
    local slack = step // 2
    local kept = full and (full + step) / UNITS_PER_SECOND + BUCKET_KEPT_SECONDS

    -- As `count`, with a bucket of tokens. The entry is the time when the bucket will be full again: each request moves it on by a step.
    local function take(counter)
        local seconds = httpd.now()
        local now = math.floor(seconds * UNITS_PER_SECOND)
        local full_at, reason = dictionary:incr(counter, step, now, kept, now)
        if full_at == nil then
            warn(seconds, reason)
            return nil
        end
        local taken = full_at - now
        if taken > full + slack then
            -- those that are refused do not count
            dictionary:incr(counter, -step)
            return true, 0, whole_seconds((taken - full) / UNITS_PER_SECOND)
        end
        dictionary:expire(counter, kept)
        return false, math.max(0, (full + slack - taken) // step), whole_seconds(taken / UNITS_PER_SECOND)
    end

    -- Whether a request is over the limit, how many are left, and the seconds until more may come. Nil: the dictionary fails.
    local function count(prefix)
        local now = httpd.now()
        local number = math.floor(now / window)
        local passed = (now - number * window) / window
        local current, reason = dictionary:incr(prefix .. number, 1, 0, 2 * window)
        if current == nil then
            warn(now, reason)
            return nil
        end
        local before = dictionary:get(prefix .. number - 1) or 0
        local used = before * (1 - passed) + current
        if used > limit * (1 + ROUNDING) then
            -- those that are refused do not count
            dictionary:incr(prefix .. number, -1)
            return true, 0, whole_seconds(wait_of(limit, before, current - 1, passed) * window)
        end
        return false, math.max(0, math.floor(limit - used)), whole_seconds((1 - passed) * window)
    end

    httpd.hook('request', function(env, header)
        local key = key_of(env, header)
        if key == nil then
            return
        end
        if type(key) ~= 'string' and math.type(key) ~= 'integer' then
            error('the function "key" of ratelimit has to return a string or an integer, got ' .. type(key))
        end
        -- no name and no prefix has the byte 0
        local counter = name .. '\0' .. env.SCRIPT_PREFIX .. '\0' .. key .. '\0'
        if #counter > COUNTER_BYTES_MAX then
            counter = httpd.crypto.hash('sha256', counter)
        end
        local is_over, left, seconds = (burst and take or count)(counter)
        if is_over == nil then
            return
        end
        if read.fields then
            local ctx = httpd.request().ctx
            ctx[STATES] = ctx[STATES] or {}
            ctx[STATES][name] = ('"%s";r=%d;t=%d'):format(name, left, seconds)
        end
        if is_over then
            httpd.exit(429, 'Too many requests\n', {['retry-after'] = tostring(seconds), ['cache-control'] = 'no-store'})
        end
    end)

    if not read.fields then
        return
    end
    httpd.hook('response', function(_, head)
        local states = httpd.request().ctx[STATES]
        local state = states and states[name]
        if state then
            head['ratelimit-policy'] = append(head['ratelimit-policy'], policy)
            head.ratelimit = append(head.ratelimit, state)
        end
    end)
end

return ratelimit
