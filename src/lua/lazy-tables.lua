-- What makes the two tables of a call (lazy-tables.ts), and calls what comes before a handler. KEY and NUMBER are the keys that
-- no script can write; `is_over` says that the call is over before its handler has been called, `keep` takes the two tables.
local first, second, KEY, NUMBER, setmetatable, FIRST_FOUND, SECOND_FOUND, is_over, keep = ...

-- Functions that are called before each handler; false while there are none.
local preceding = false
local keeps = false

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

-- The one place where the two tables of a call are made; `only_makes`: for nobody but the host. The call of the handler is no tail
-- call: the host finds `env` and `header` in this frame while the handler runs, and behind its result when it has returned.
-- Without `or nil`, tracebacks would name the handler by the variable here.
local function wrap(handler, only_makes)
    return function(facts, number, is_unprepared, parameters)
        local env, header
        if is_unprepared then
            env = setmetatable({ [KEY] = facts, [NUMBER] = number }, first)
            header = setmetatable({ [KEY] = facts }, second)
        else
            env, header = setmetatable({ [NUMBER] = number }, facts[1]), setmetatable({}, facts[2])
        end
        if keeps and not only_makes then
            keep(env, header)
        end
        if preceding and not only_makes then
            for i = 1, #preceding do
                if preceding[i](env, header) or is_over() then
                    return nil, env, header
                end
            end
        end
        -- the last argument is there only for names with parameters: others see two, as ever
        if parameters then
            local result = (handler or nil)(env, header, parameters)
            return result, env, header
        end
        local result = (handler or nil)(env, header)
        return result, env, header
    end
end

-- For a handler without parameters, where nothing before it takes the tables: they are made when somebody asks for the request.
local function wrap_bare(handler)
    return function()
        for i = 1, #preceding do
            if preceding[i]() or is_over() then
                return
            end
        end
        local result = (handler or nil)()
        return result
    end
end

local function precede(fn)
    preceding = preceding or {}
    preceding[#preceding + 1] = fn
end

local function keep_tables()
    keeps = true
end

local make = wrap(function() end, true)

return wrap, wrap_bare, make, prepare, precede, keep_tables
