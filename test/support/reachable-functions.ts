/** Lua code that names every function that a script can reach: globals, modules, metatables, methods of userdata, iterators. */

/**
 * A Lua function that takes further values by name and returns the sorted names of all functions in them and in the values that
 * every script has. A method is `TYPE:name`, a metamethod `TYPE.__name`. A function with several names gets the first of them.
 */
export const REACHABLE_FUNCTIONS = `
local function reachable(more)
  local names, seen, out = {}, {}, {}
  seen[_G] = true
  if package then seen[package.loaded], seen[package.preload] = true, true end
  local getmetatable = debug and debug.getmetatable or getmetatable
  local function visit(value, name, separator)
    local kind = type(value)
    if kind == 'function' then
      if not names[value] then names[value] = name out[#out + 1] = name end
      return
    end
    if (kind == 'table' or kind == 'userdata') and not seen[value] then
      seen[value] = true
      if kind == 'table' then
        local keys = {}
        for key in next, value do if type(key) == 'string' or type(key) == 'number' then keys[#keys + 1] = key end end
        table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
        for _, key in ipairs(keys) do
          local field = rawget(value, key)
          if field ~= more then visit(field, name == '' and tostring(key) or name .. (separator or '.') .. key) end
        end
      end
    end
    local metatable = getmetatable(value)
    if type(metatable) == 'table' and not seen[metatable] and kind ~= 'string' then
      local typeName = rawget(metatable, '__name') or name
      if typeName == 'httpd.stream' then typeName = 'stream' end
      if value == _G then typeName = 'luars' end
      local methods = rawget(metatable, '__index')
      if type(methods) == 'table' and not seen[methods] then visit(methods, typeName, ':') end
      visit(metatable, typeName)
    end
  end
  local modules = {}
  for name in pairs(package and package.loaded or {}) do if name ~= '_G' then modules[#modules + 1] = name end end
  table.sort(modules)
  for _, name in ipairs(modules) do visit(package.loaded[name], name) end
  if not package then visit(require 'httpd', 'httpd') end
  for name, value in pairs(more) do visit(value, name) end
  seen[_G] = nil
  visit(_G, '')
  table.sort(out)
  return out
end
`;
