-- Runs the hooks of a script that see the head of an answer (head-hooks.ts), and hands over what they have left of it.
local take = ...

local hooks = {}

local function revise(env, head)
    for i = 1, #hooks do
        hooks[i](env, head)
    end
    take(head)
end

local function add(hook)
    hooks[#hooks + 1] = hook
end

return revise, add
