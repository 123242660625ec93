-- What makes the two tables of a call (lazy-tables.ts). KEY and NUMBER are the keys that no script can write.
local first, second, KEY, NUMBER, setmetatable, FIRST_FOUND, SECOND_FOUND = ...

-- A metatable for tables of these facts alone: it has the facts, so that the tables need not, and NUMBER where they are second.
-- The host looks names up; what it has found is in `found`, false where nothing is there.
local function own(metatable, facts, found, is_second)
    local look_up = metatable.__index
    return {
        [KEY] = facts,
        [NUMBER] = is_second,
        __index = function(table, name)
            local value = found[name]
            if value ~= nil then
                return value or nil
            end
            return look_up(table, name)
        end,
        __newindex = metatable.__newindex,
        __len = metatable.__len,
        __pairs = metatable.__pairs,
    }
end

local function prepare(facts)
    facts[FIRST_FOUND], facts[SECOND_FOUND] = {}, {}
    facts[1] = own(first, facts, facts[FIRST_FOUND])
    facts[2] = own(second, facts, facts[SECOND_FOUND], true)
end

local function make(facts, number, is_unprepared)
    if is_unprepared then
        return setmetatable({ [KEY] = facts, [NUMBER] = number }, first), setmetatable({ [KEY] = facts }, second)
    end
    return setmetatable({ [NUMBER] = number }, facts[1]), setmetatable({}, facts[2])
end

-- The call of the handler is no tail call: the host finds `env` and `header` in this frame while the handler runs, and
-- behind its result when it has returned. Without `or nil`, tracebacks would name the handler by the variable here.
local function wrap(handler, hasParameters)
    -- the last argument is there only for names with parameters: others see two, as ever
    if hasParameters then
        return function(facts, number, is_unprepared, parameters)
            local env, header = make(facts, number, is_unprepared)
            local result = (handler or nil)(env, header, parameters)
            return result, env, header
        end
    end
    return function(facts, number, is_unprepared)
        local env, header
        if is_unprepared then
            env, header = make(facts, number, true)
        else
            -- what `make` does, without a call
            env, header = setmetatable({ [NUMBER] = number }, facts[1]), setmetatable({}, facts[2])
        end
        local result = (handler or nil)(env, header)
        return result, env, header
    end
end

return wrap, prepare, make
