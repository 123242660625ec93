-- dkjson: both ways, its options, its errors, its null; with the string functions only, as there is no lpeg
local json = require 'dkjson'

print(json.version, json.using_lpeg)
for _, value in ipairs { 0, -1, 1.5, 1e100, 1 / 3, 2 ^ 53, math.maxinteger, math.mininteger, -0.0, 1e15, 123456789012, true, false } do
    print(json.encode(value))
end
for _, value in ipairs { 1 / 0, -1 / 0, 0 / 0 } do print(json.encode(value)) end
for _, text in ipairs { '', 'plain', '"quoted" \\ / \b\f\n\r\t', '\0\1\31\127', 'ä€😀', '\xff\xfe', '\u{2028}\u{2029}\u{ad}', '</script>' } do
    print(json.encode(text))
    show(json.decode(json.encode(text)))
end
print(json.encode({}), json.encode({ 1, 2, 3 }), json.encode({ { {} } }), json.encode(setmetatable({}, { __jsontype = 'object' })))
print(json.encode({ b = 1, a = 2, c = { x = 1 } }, { keyorder = { 'a', 'b', 'c' } }))
print(json.encode({ 1, { a = 1, b = { 2, 3 } }, 'x' }, { indent = true, keyorder = { 'a', 'b' } }))
print(json.encode({ [1] = 'a', [2] = 'b', [4] = 'd' }), json.encode({ [10] = 1 }), json.encode({ n = 3, 1, 2, 3 }))
print(json.encode({ json.null, json.null }), tostring(json.null))
print(json.encode(setmetatable({}, { __tojson = function(_, state) return '"own ' .. tostring(state ~= nil) .. '"' end })))
print(json.quotestring('a"b\n'))
try(json.encode, print)
try(json.encode, { a = print })
try(json.encode, { f = coroutine.create(print) })
local loop = {}
loop.loop = loop
try(json.encode, loop)
print(json.encode({ print, 1 }, { exception = function(reason, value) return ('"%s %s"'):format(reason, type(value)) end }))
local buffer = { 'kept ' }
show(json.encode({ 1 }, { buffer = buffer, bufferlen = 1 }), buffer)

for _, text in ipairs {
    '1', '-0', '1.0', '1e3', '0.1', '9223372036854775807', '9223372036854775808', '123456789012345678901234567890', '"a\\u0041\\ud83d\\ude00"',
    '"\\ud800"', '"\\x"', '[1,2,,3]', '[1,2', '{"a":1', '{"a" 1}', '{a:1}', "{'a':1}", '[]', '{}', '[null]', 'nul', '', '  ', '// c\n 1', '/* c */ [1]', '/* c',
    '{"a":{"b":[1,{"c":null}]}}', '[1] x', '"\n"', '"open', '01', '+1', '.5', 'NaN', '[true,false,null]',
} do
    show(text, json.decode(text))
end
show(json.decode('[1] [2]', 5), json.decode('[null,1]', 1, 'none'))
local object = json.decode('{"list":[],"object":{}}')
print(getmetatable(object).__jsontype, getmetatable(object.list).__jsontype, getmetatable(object.object).__jsontype)
show(getmetatable(json.decode('{}', 1, nil, nil)))
show(json.decode('{"a":[1]}', 1, nil, { __index = { extra = 1 } }))
try(json.decode)
try(json.decode, {})

-- a deep and a wide one
local deep = ('['):rep(100) .. (']'):rep(100)
print(json.encode((json.decode(deep))) == deep)
local wide = {}
for i = 1, 2000 do wide[i] = { id = i, name = 'n' .. i, on = i % 3 == 0 } end
local coded = json.encode(wide, { keyorder = { 'id', 'name', 'on' } })
print(#coded, coded:sub(-40))
local back = json.decode(coded)
print(#back, back[1999].name, back[1998].on, math.type(back[7].id))
