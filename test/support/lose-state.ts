/** Lua code at whose CPU limit a state has to be given up: each finaliser is ended by itself, and there are too many. */
export const LOSE_STATE = `local m = {__gc = function() while true do end end} collectgarbage 'stop'
          for i = 1, 5000 do setmetatable({}, m) end collectgarbage()`;
