-- What makes the two tables of a call (lazy-tables.ts). KEY and NUMBER are the keys that no script can write.
local first, second, KEY, NUMBER, setmetatable = ...

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

return wrap, make
