-- One loop of each kind, with so many rounds as the chunk is called with: a list of names and functions in turn.
local rounds = ...

local text = ("x"):rep(rounds)
local items, words = {}, {}
for i = 1, rounds do
    items[i] = i
    words[i] = "x"
end
local code = ("x=1 "):rep(rounds)

local function recurse(n)
    if n == 0 then return 0 end
    return 1 + recurse(n - 1)
end

local function tail(n)
    if n > 0 then return tail(n - 1) end
end

local chain = {}
setmetatable(chain, {
    __index = function(_, n)
        if n > 0 then return chain[n - 1] end
    end,
})

return {
    "while", function()
        local i = 0
        while i < rounds do i = i + 1 end
    end,
    "repeat", function()
        local i = 0
        repeat i = i + 1 until i == rounds
    end,
    "goto", function()
        local i = 0
        ::again::
        i = i + 1
        if i < rounds then goto again end
    end,
    "numeric for", function()
        local x
        for i = 1, rounds do x = i end
        return x
    end,
    "numeric for with floats", function()
        local x
        for i = rounds / rounds, rounds do x = i end
        return x
    end,
    "generic for", function()
        local x
        for i in next, items do x = i end
        return x
    end,
    "recursion", function() return recurse(rounds) end,
    "tail calls", function() tail(rounds) end,
    "metamethods", function() return chain[rounds] end,
    "string.upper", function() return text:upper() end,
    "string.rep", function() return ("xy"):rep(rounds) end,
    "string.find", function() return text:find("y*z") end,
    "string.gsub", function() return text:gsub("x", "y") end,
    "table.concat", function() return table.concat(words) end,
    "table.sort", function() table.sort(items) end,
    "load", function() return load(code) end,
}
