-- Steps on one entry of a dictionary that a store does as a whole. They run inside Redis, which has Lua 5.1.
-- luacheck: std lua51, read globals redis
local steps = {}

-- The number of an entry that is one; nil for other values.
local function number(text)
    if text:find('^%-?%d+$') then return tonumber(text), true end
    if text:sub(1, 1) == 'f' then return tonumber(text:sub(2)), false end
end

-- Adds to a number. `begin`: what an entry that is not there becomes; '' = it stays away, '!' = the sum is no integer of 64 bits.
-- `ttl`: milliseconds for a new entry; '0' = for ever. Gives the new value, or -1 = no entry, -2 = no number, -3 = no integer of 64 bits.
function steps.incr(keys, args)
    local key, by, begin, ttl = keys[1], args[1], args[2], args[3]
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
    if isInteger and addsInteger then
        local sum = redis.pcall('INCRBY', key, by)
        if type(sum) == 'table' then
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

return steps
