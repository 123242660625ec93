-- inspect (and ansicolors): order, ids, cycles, metatables, process
local inspect = require 'inspect'

for _, value in ipairs { 1, -0.0, 1.5, 2 ^ 63, math.mininteger, 'plain', "it's", 'both "\'', 'a\nb\0c\127', '\\', true } do print(inspect(value)) end
print(inspect(nil), inspect(1 / 0), inspect(-1 / 0))
print(inspect({}), inspect({ 1, 2, 3 }), inspect({ a = 1, b = 2 }), inspect({ 1, a = 1, [3] = 3, ['a b'] = 2, [1.5] = 0, [true] = false }))
print(inspect({ { { { 'deep' } } } }), inspect({ { { { 'deep' } } } }, { depth = 2 }), inspect({ {} }, { depth = 1 }))
print(inspect({ 'and', ['and'] = 1, ['end'] = 2, _x = 3, ['1x'] = 4 }))
print(inspect(setmetatable({ a = 1 }, { __index = { b = 2 }, __call = print })))
print(inspect(setmetatable({}, { __tostring = function() return 'text' end })))
print(inspect(setmetatable({}, { __metatable = 'hidden' })))
local loop = { name = 'loop' }
loop.self, loop.list = loop, { loop, { loop } }
print(inspect(loop))
local shared = { 1 }
print(inspect({ shared, shared, x = shared }))
print(inspect({ print, print, type, coroutine.create(print), io.stdout, f = print }))
print(inspect({ a = { b = 2 } }, { newline = '@', indent = '>>' }), inspect({ 1, { 2 } }, { newline = '', indent = '' }))
print(inspect({ a = 1, secret = 2, list = { 1, 2, 3 } }, { process = function(item, path)
    if path[#path] == 'secret' then return nil end
    if path[#path] == inspect.METATABLE then return nil end
    if type(item) == 'number' then return item * 10 end
    return item
end }))
print(inspect({ a = setmetatable({}, { x = 1 }) }, { process = function(item, path)
    return (path[#path] == inspect.KEY and tostring(item):upper()) or item
end }))
try(inspect, {}, { process = function() error('in process') end })
print(inspect({ [{}] = 1, [print] = 2 }))
print(inspect(_VERSION), inspect.inspect == getmetatable(inspect).__call or type(inspect.inspect))

local big = {}
for i = 1, 500 do big[i] = { i, name = 'n' .. i } end
local text = inspect(big)
print(#text, text:sub(1, 120))

local colors = require 'ansicolors'
show(colors('%{red}hello'), colors('%{bright blue underline}x%{reset}y'), colors.noReset('%{green}x'), colors('no format'), colors(''))
show(colors('%{black redbg}a%{dim}b%{blink}c%{reverse}d%{hidden}e'))
try(colors, '%{nocolour}x')
try(colors.noReset, nil)
try(colors)
