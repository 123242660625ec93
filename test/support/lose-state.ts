/**
 * Lua code that makes its state unusable at the CPU limit: each finaliser has to be ended separately, and there are too many of
 * them.
 */
export const LOSE_STATE = `local m = {__gc = function() while true do end end} collectgarbage 'stop'
          for i = 1, 5000 do setmetatable({}, m) end collectgarbage()`;
