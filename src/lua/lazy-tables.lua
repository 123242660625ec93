-- What makes the two tables of a call (lazy-tables.ts). KEY and NUMBER are the keys that no script can write.
-- The host looks names up; what it has found for facts that come again is under these keys of theirs, false where nothing is there.
local first, second, KEY, NUMBER, setmetatable, type, FIRST_FOUND, SECOND_FOUND = ...

-- Names that were looked up before are found without a call of the host.
local function remember(metatable, FOUND)
    local look_up = metatable.__index
    metatable.__index = function(table, name)
        -- a table that is not filled always has them
        local facts = table[KEY]
        if type(facts) == "table" then
            local value = facts[FOUND][name]
            if value ~= nil then
                return value or nil
            end
        end
        return look_up(table, name)
    end
end
remember(first, FIRST_FOUND)
remember(second, SECOND_FOUND)

local function make(facts, number)
    return setmetatable({ [KEY] = facts, [NUMBER] = number }, first), setmetatable({ [KEY] = facts }, second)
end

-- The call of the handler is no tail call: the host finds `env` and `header` in this frame while the handler runs, and
-- behind its result when it has returned. Without `or nil`, tracebacks would name the handler by the variable here.
local function wrap(handler, hasParameters)
    -- the third argument is there only for names with parameters: others see two, as ever
    if hasParameters then
        return function(facts, number, parameters)
            local env, header = make(facts, number)
            local result = (handler or nil)(env, header, parameters)
            return result, env, header
        end
    end
    return function(facts, number)
        local env, header =
            setmetatable({ [KEY] = facts, [NUMBER] = number }, first), setmetatable({ [KEY] = facts }, second)
        local result = (handler or nil)(env, header)
        return result, env, header
    end
end

local function parts()
    return first, second, KEY, NUMBER, setmetatable
end

return wrap, make, parts
