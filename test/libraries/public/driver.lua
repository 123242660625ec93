-- Runs one of the files beside this one and returns what it printed. lua5.4 and the gateway both load this file.
--
-- A file may use: `show(...)`, which prints values with the contents of tables in a fixed order; `try(f, ...)`, which prints the results
-- or the error of a call; `print`; and `folder`, an empty folder for its files.

local function order(a, b)
    if type(a) ~= type(b) then return type(a) < type(b) end
    if type(a) == 'number' or type(a) == 'string' then return a < b end
    return tostring(a) < tostring(b)
end

local function text(value, open)
    local kind = type(value)
    if kind == 'string' then return ('%q'):format(value) end
    if kind == 'number' then return math.type(value) == 'float' and ('%.14g f'):format(value) or tostring(value) end
    if kind ~= 'table' then return kind == 'boolean' and tostring(value) or kind end
    if open[value] then return 'seen' end
    open[value] = true
    local keys, parts = {}, {}
    for key in next, value do keys[#keys + 1] = key end
    table.sort(keys, order)
    for _, key in ipairs(keys) do parts[#parts + 1] = text(key, open) .. '=' .. text(rawget(value, key), open) end
    open[value] = nil
    return '{' .. table.concat(parts, ', ') .. '}'
end

local function run(file, folder)
    local lines = {}
    local function print(...)
        local values = table.pack(...)
        for i = 1, values.n do values[i] = tostring(values[i]) end
        lines[#lines + 1] = table.concat(values, '\t')
    end
    local function show(...)
        local values = table.pack(...)
        for i = 1, values.n do values[i] = text(values[i], {}) end
        lines[#lines + 1] = table.concat(values, '\t')
    end
    local function try(f, ...) show(pcall(f, ...)) end
    local env = setmetatable({ print = print, show = show, try = try, folder = folder }, { __index = _G })
    local chunk, message = loadfile(file, 't', env)
    local ok, failure = pcall(chunk or error, message)
    if not ok then lines[#lines + 1] = 'error: ' .. tostring(failure) end
    return table.concat(lines, '\n') .. '\n'
end

return run
