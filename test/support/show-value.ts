/** Lua text: `show(v)` writes a value as text, integers as `i1`, tables by the names of their entries. */
export const SHOW_VALUE = `local function show(v)
  if type(v) ~= 'table' then return math.type(v) == 'integer' and 'i' .. v or tostring(v) end
  local names, out = {}, {}
  for k in pairs(v) do names[#names + 1] = k end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, k in ipairs(names) do out[#out + 1] = tostring(k) .. '=' .. show(v[k]) end
  return '{' .. table.concat(out, ',') .. '}'
end`;
