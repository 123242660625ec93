-- The requests and heads of scripts for luvit's HTTP cluster, and what runs their apps (luvit.ts).
local take, put_head, put_body, close, define, packed, respond,
    REMEMBERED_MAX, FIELDS_MAX, NODES_MAX, BYTES_MAX, FILLER, setmetatable, getmetatable = ...
local type, tostring, tonumber, next = type, tostring, tonumber, next
local concat, gsub, gmatch, whole = table.concat, string.gsub, string.gmatch, math.tointeger
local error = error

-- Requests: tables that are filled when more is asked of them than one of their facts. Their metatables, known by numbers,
-- serve every request that has the same head.

local metatables, metatable_count = {}, 0

local function parse(text)
    local parts, n = {}, 0
    for part in gmatch(text .. '\n', '([^\n]*)\n') do
        n = n + 1
        parts[n] = part
    end
    local path = parts[2]
    local facts = {
        method = parts[1], path = path, url = path, version = tonumber(parts[3]), keepAlive = parts[4] == '1',
        remoteAddress = parts[5], remotePort = tonumber(parts[6]),
    }
    return facts, parts, n
end

local function fill(made)
    local facts, parts, n = parse(getmetatable(made).text)
    setmetatable(made, nil)
    for key, value in next, facts do made[key] = value end
    for at = 7, n, 2 do made[(at - 5) // 2] = { parts[at], parts[at + 1] } end
    return made
end

local function index(made, key)
    local metatable = getmetatable(made)
    local facts = metatable.facts
    if not facts then
        facts = parse(metatable.text)
        metatable.facts = facts
    end
    local value = facts[key]
    if value ~= nil then return value end
    return fill(made)[key]
end

local function new_index(made, key, value)
    fill(made)[key] = value
end

local function length(made)
    return #fill(made)
end

local function each(made)
    return next, fill(made), nil
end

local function new_metatable(number)
    local metatable = {
        [FILLER] = fill, __index = index, __newindex = new_index, __len = length, __pairs = each, text = packed(), facts = false,
    }
    if metatable_count == REMEMBERED_MAX then metatables, metatable_count = {}, 0 end
    metatables[number] = metatable
    metatable_count = metatable_count + 1
    return metatable
end

-- Heads are known by their codes and fields: a path of tables from value to value ends with the number.

local known, node_count = {}, 0
local NUMBER <const> = {}

-- What a table is asked for: a string, or a whole number, which is sent as one.
local function key_of(value)
    if type(value) == 'string' then return value end
    return whole(value) or tostring(value)
end

local function step(node, key)
    local found = node[key]
    if not found then
        found = {}
        node[key] = found
        node_count = node_count + 1
    end
    return found
end

local function define_head(head, n)
    if head.code == nil then error('the head has no code', 0) end
    if n > FIELDS_MAX then error('the head has ' .. n .. ' fields (at most ' .. FIELDS_MAX .. ' were expected)', 0) end
    local keys, bytes = { key_of(head.code) }, 0
    for i = 1, n do
        local pair = head[i]
        if type(pair) ~= 'table' then error('field ' .. i .. ' of the head is a ' .. type(pair) .. ' (a pair was expected)', 0) end
        keys[2 * i], keys[2 * i + 1] = key_of(pair[1]), key_of(pair[2])
    end
    for i = 1, #keys do bytes = bytes + #tostring(keys[i]) end
    if bytes > BYTES_MAX then error('the head has ' .. bytes .. ' bytes (at most ' .. BYTES_MAX .. ' were expected)', 0) end
    local texts = {}
    for i = 1, #keys do texts[i] = gsub(keys[i], '[\r\n]+', ' ') end
    local number, starts_over = define(concat(texts, '\n'))
    if starts_over or node_count > NODES_MAX then known, node_count = {}, 0 end
    local node = known
    for i = 1, #keys do node = step(node, keys[i]) end
    node[NUMBER] = number
    return number
end

local function number_of(head)
    local n = #head
    local node = known[head.code]
    for i = 1, n do
        local pair = head[i]
        if not node or type(pair) ~= 'table' then return define_head(head, n) end
        node = node[pair[1]]
        node = node and node[pair[2]]
    end
    return node and node[NUMBER] or define_head(head, n)
end

-- apps

local function read()
    local item, is_request = take()
    if is_request then return setmetatable({}, metatables[item] or new_metatable(item)) end
    return item
end

local function write(item)
    local kind = type(item)
    if kind == 'string' then return put_body(item) end
    if kind == 'table' then return put_head(number_of(item)) end
    if kind == 'nil' then return close() end
    if kind == 'number' then return put_body(tostring(item)) end
    error('write was given a ' .. kind .. ' (a head, a string or nothing was expected)', 2)
end

local function wrap(app)
    return function(number)
        local head, body = app(setmetatable({}, metatables[number] or new_metatable(number)))
        if type(head) ~= 'table' then error('the app returned a ' .. type(head) .. ' as head (a table was expected)', 0) end
        return respond(number_of(head), body)
    end
end

return wrap, read, write
