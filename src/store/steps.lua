-- Steps on one entry of a dictionary that a store does as a whole. They run inside Redis, which has Lua 5.1.
-- luacheck: std lua51, read globals redis
local steps = {}

-- The number of an entry that is one; nil for other values.
local function number(text)
    if text:find('^%-?%d+$') then return tonumber(text), true end
    if text:sub(1, 1) == 'f' then return tonumber(text:sub(2)), false end
end

-- Whether an integer is less than another; both are in decimal, and doubles do not know all of them.
local function integerLess(a, b)
    local isNegative = a:sub(1, 1) == '-'
    if isNegative ~= (b:sub(1, 1) == '-') then return isNegative end
    if a == b then return false end
    if #a ~= #b then return (#a < #b) ~= isNegative end
    return (a < b) ~= isNegative
end

-- Adds to a number. `begin`: what an entry that is not there becomes; '' = it stays away, '!' = the sum is no integer of 64 bits.
-- `ttl`: milliseconds for a new entry; '0' = for ever. `floor`: a number that is less counts as this one; '' = every number is what it is.
-- Gives the new value, or -1 = no entry, -2 = no number, -3 = no integer of 64 bits.
function steps.incr(keys, args)
    local key, by, begin, ttl, floor = keys[1], args[1], args[2], args[3], args[4]
    local old = redis.call('GET', key)
    if not old then
        if begin == '' then return -1 end
        if begin == '!' then return -3 end
        if ttl == '0' then redis.call('SET', key, begin) else redis.call('SET', key, begin, 'PX', ttl) end
        return begin
    end
    local value, isInteger = number(old)
    if not value then return -2 end
    local addend, addsInteger = number(by)
    local isRaised = false
    if floor ~= '' then
        local least, leastIsInteger = number(floor)
        if isInteger and leastIsInteger then isRaised = integerLess(old, floor) else isRaised = value < least end
        if isRaised then value, isInteger = least, leastIsInteger end
    end
    if isInteger and addsInteger then
        if isRaised then redis.call('SET', key, floor, 'KEEPTTL') end
        local sum = redis.pcall('INCRBY', key, by)
        if type(sum) == 'table' then
            if isRaised then redis.call('SET', key, old, 'KEEPTTL') end
            if sum.err and sum.err:find('overflow', 1, true) then return -3 end
            return sum
        end
        -- numbers are doubles here
        if sum > -9e15 and sum < 9e15 then return string.format('%.0f', sum) end
        return redis.call('GET', key)
    end
    local text = 'f' .. string.format('%.17g', value + addend)
    redis.call('SET', key, text, 'KEEPTTL')
    return text
end

-- Gives an entry `ttl` milliseconds; '0' = for ever. 1, or 0 where there is none.
function steps.expire(keys, args)
    local key, ttl = keys[1], args[1]
    if ttl ~= '0' then return redis.call('PEXPIRE', key, ttl) end
    local found = redis.call('EXISTS', key)
    redis.call('PERSIST', key)
    return found
end

-- Milliseconds by the clock of the server, which all machines go by.
local function now()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- An entry of a lease is kept for so long after it was taken last.
local LEASE_KEPT = 30 * 24 * 3600 * 1000
-- Nobody asks for a longer one: what ends later was written by another clock.
local LEASE_MAX = 60 * 1000

-- Takes a lease for `lease` milliseconds: for a run of something that is not to begin within `age` milliseconds after the last one, unless
-- that was lost. Gives its fence, which is higher than that of any lease on this before; -1 = somebody has it, -2 = the last run is
-- too young.
function steps.claim(keys, args)
    local key, lease, age, time = keys[1], tonumber(args[1]), tonumber(args[2]), now()
    local found = redis.call('HMGET', key, 'fence', 'until', 'started')
    local fence, ends, started = tonumber(found[1] or 0), tonumber(found[2] or 0), tonumber(found[3] or 0)
    if ends > time and ends <= time + LEASE_MAX then return -1 end
    -- one that has ended by itself had a run that was lost
    if ends == 0 and started <= time and time - started < age then return -2 end
    -- counts up, and from the clock, as the entry may have been lost
    fence = math.max(fence + 1, time)
    local text = '%.0f'
    redis.call("HSET", key, "fence", text:format(fence), "until", text:format(time + lease), "started", text:format(time))
    redis.call('PEXPIRE', key, text:format(LEASE_KEPT + age))
    return fence
end

-- Prolongs a lease. 1, or 0 where it is another's, or was given back.
function steps.renew(keys, args)
    local found = redis.call('HMGET', keys[1], 'fence', 'until')
    if found[1] ~= args[1] or found[2] == '0' then return 0 end
    redis.call('HSET', keys[1], 'until', string.format('%.0f', now() + tonumber(args[2])))
    return 1
end

-- Gives a lease back. `completed` '0': the run was lost, and another may begin at once.
function steps.release(keys, args)
    if redis.call('HGET', keys[1], 'fence') ~= args[1] then return 0 end
    redis.call('HSET', keys[1], 'until', '0')
    if args[2] == '0' then redis.call('HSET', keys[1], 'started', '0') end
    return 1
end

-- What was purged from the caches of all machines is a sorted set: marks, each with the number of its last purge; `n` with the number
-- of the last one of all; and first, with -1, `e` and the epoch that the marks belong to. Where there is none, it begins with the
-- epoch `proposal`.
local function epochOf(key, proposal)
    local first = redis.call('ZRANGE', key, '0', '0')[1]
    if first then return first:sub(2) end
    redis.call('ZADD', key, '-1', 'e' .. proposal, '0', 'n')
    return proposal
end

-- Gives the epoch, and behind it marks and numbers in turn: of all purges after `since`, or of all where the epoch is not `epoch`.
function steps.purges(keys, args)
    local key, proposal, epoch, since = keys[1], args[1], args[2], args[3]
    local found = epochOf(key, proposal)
    if found ~= epoch then since = '0' end
    local list = redis.call('ZRANGEBYSCORE', key, '(' .. since, '+inf', 'WITHSCORES')
    table.insert(list, 1, found)
    return list
end

-- Purges marks, which are in decimal with commas between them; of another epoch they mean nothing, and `all` is purged. Gives the epoch and
-- the number of this purge.
function steps.purge(keys, args)
    local key, proposal, epoch, marks, all = keys[1], args[1], args[2], args[3], args[4]
    local found = epochOf(key, proposal)
    if found ~= epoch then marks = all end
    local last = redis.call('ZINCRBY', key, '1', 'n')
    for mark in marks:gmatch('%d+') do redis.call('ZADD', key, last, mark) end
    return {found, last}
end

return steps
