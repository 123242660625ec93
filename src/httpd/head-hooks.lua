-- Runs the hooks of a script that see the head of an answer (head-hooks.ts), and hands over what they have left of it.
local take = ...

local hooks = {}

-- `is_maker`: `head` is a function that makes it (head-makers.ts).
local function revise(env, head, is_maker)
    if is_maker then
        head = head()
    end
    for i = 1, #hooks do
        hooks[i](env, head)
    end
    take(head, head[':status'] ~= nil)
end

local function add(hook)
    hooks[#hooks + 1] = hook
end

return revise, add
