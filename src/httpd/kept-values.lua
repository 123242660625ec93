-- What httpd.cache(key, options, fn) does (kept-values.ts): calls fn once for all that ask for the key meanwhile.
local enter, settle = ...

-- The one that computes has ended, whatever has ended it: an error, a limit, or a client that has gone.
local Computing = {
    __close = function(self)
        settle(self.number)
    end,
    __metatable = false,
}

return function(_, key, options, fn)
    local is_kept, value = enter(key, options, fn)
    if is_kept then
        return value
    end
    -- `value` is the number of the computation
    local computing <close> = setmetatable({number = value}, Computing)
    return settle(computing.number, fn())
end
