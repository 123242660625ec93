-- What makes the two tables of a call (lazy-tables.ts). KEY and NUMBER are the keys that no script can write.
local first, second, KEY, NUMBER, setmetatable = ...

return function(handler)
    return function(facts, number)
        return handler(
            setmetatable({ [KEY] = facts, [NUMBER] = number }, first),
            setmetatable({ [KEY] = facts }, second)
        )
    end
end
