-- What runs the hooks of a request (hook-runners.ts): those before its handler, and those that see its head.
local make, NUMBER, setmetatable, answered, keep, take = ...

local requests, responses = {}, {}
local keeps = false

-- The host finds `env` and `header` as in lazy-tables.lua.
local function run(handler, facts, number, is_unprepared, parameters)
    local env, header
    if is_unprepared then
        env, header = make(facts, number, true)
    else
        -- what `make` does, without a call
        env, header = setmetatable({ [NUMBER] = number }, facts[1]), setmetatable({}, facts[2])
    end
    if keeps then
        keep(env, header)
    end
    for i = 1, #requests do
        if requests[i](env, header) or answered() then
            return nil, env, header
        end
    end
    if parameters then
        local result = (handler or nil)(env, header, parameters)
        return result, env, header
    end
    local result = (handler or nil)(env, header)
    return result, env, header
end

-- The same where nobody takes the tables: they are made when somebody asks for the request.
local function run_bare(handler)
    for i = 1, #requests do
        if requests[i]() or answered() then
            return
        end
    end
    local result = (handler or nil)()
    return result
end

local function revise(env, head)
    for i = 1, #responses do
        responses[i](env, head)
    end
    take(head)
end

local function add(phase, hook)
    local hooks = phase == "request" and requests or responses
    hooks[#hooks + 1] = hook
end

local function keep_tables()
    keeps = true
end

return run, revise, add, keep_tables, run_bare
