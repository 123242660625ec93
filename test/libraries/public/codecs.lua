-- basexx, MessagePack (string.pack, iterators), ltn12 (chains of functions, files)
local basexx = require 'basexx'

local bytes = {}
for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
local all = table.concat(bytes)
for _, name in ipairs { 'bit', 'hex', 'base32', 'crockford', 'base64', 'url64', 'z85' } do
    local encode, decode = basexx['to_' .. name], basexx['from_' .. name]
    for _, text in ipairs { '', 'f', 'fo', 'foo', 'foob', 'fooba', 'foobar!!', all } do
        local coded = encode(text)
        print(name, #text, coded and #coded <= 80 and coded or coded and #coded)
        try(function() return decode(coded) == text end)
    end
    try(decode, '!!!!')
    try(decode, 'a b c', ' ')
    try(encode)
end

local pack = require 'MessagePack'
local function hex(text) return (text:gsub('.', function(c) return ('%02x'):format(c:byte()) end)) end
for _, value in ipairs {
    0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, math.maxinteger, -1, -32, -33, -128, -129, -32768, -32769, -2147483648,
    -2147483649, math.mininteger, 0.0, 1.5, -1e300, 1 / 0, true, false, '', 'a', ('x'):rep(31), ('x'):rep(32), {}, { 1, 2, 3 }, { { {} } }, { a = { 1 } },
} do
    local coded = pack.pack(value)
    print(#coded <= 40 and hex(coded) or #coded)
    show(pack.unpack(coded))
end
show(#pack.pack(('x'):rep(255)), #pack.pack(('x'):rep(256)), #pack.pack(('x'):rep(65536)), hex(pack.pack(nil)), #pack.pack(setmetatable({}, {})))
for _, mode in ipairs { 'float', 'double' } do
    pack.set_number(mode)
    print(mode, hex(pack.pack(1.5)), hex(pack.pack(0.1)))
end
for _, mode in ipairs { 'unsigned', 'signed' } do
    pack.set_integer(mode)
    print(mode, hex(pack.pack(200)), hex(pack.pack(40000)))
end
for _, mode in ipairs { 'string_compat', 'string', 'binary' } do
    pack.set_string(mode)
    print(mode, hex(pack.pack(('s'):rep(40)):sub(1, 4)))
end
for _, mode in ipairs { 'without_hole', 'with_hole', 'always_as_map' } do
    pack.set_array(mode)
    print(mode, hex(pack.pack { 1, nil, 3 }), hex(pack.pack { 1, 2 }))
end
pack.set_number 'double'
pack.set_integer 'unsigned'
pack.set_string 'string_compat'
pack.set_array 'without_hole'
try(pack.set_number, 'big')
try(pack.pack, print)
for _, coded in ipairs { '', '\xc1', '\x93\x01\x02', '\xdb\xff\xff\xff\xff', '\xd9\x05abc', '\xcb\0\0', '\x81\xc0\x01', '\x01\x02' } do try(pack.unpack, coded) end
for i, value in pack.unpacker('\x01\xa1a\x92\x02\x03\xc3') do show(i, value) end
local pieces = { '\x01', '\xa5he', 'llo', '\x90' }
for i, value in pack.unpacker(function() return table.remove(pieces, 1) end) do show(i, value) end
try(pack.unpacker, 5)
show(pcall(pack.unpack, '\xd4\x07x'))
pack.build_ext = function(tag, data) return { tag, data } end
show(pack.unpack('\xd6\x07data'), pack.unpack('\xc7\0\xff'))
local large = {}
for i = 1, 1000 do large[i] = { id = i } end
show(#pack.pack(large), #pack.unpack(pack.pack(large)))

local ltn12 = require 'ltn12'
local function drain(source)
    local sink, list = ltn12.sink.table()
    show(ltn12.pump.all(source, sink))
    show(list)
end
drain(ltn12.source.string('short'))
drain(ltn12.source.cat(ltn12.source.string('one'), ltn12.source.empty(), ltn12.source.string('two')))
drain(ltn12.source.error('no source'))
drain(ltn12.source.simplify(ltn12.source.string('simple')))
local function upper(chunk) return chunk and chunk:upper() end
local count = ltn12.filter.cycle(function(total, chunk)
    if not chunk then return total and ('<' .. total .. '>'), nil end
    return chunk, total + #chunk
end, 0)
drain(ltn12.source.chain(ltn12.source.string('filtered'), ltn12.filter.chain(upper, count)))
local name = folder .. '/ltn12.txt'
local big = ('0123456789'):rep(1000)
show(ltn12.pump.all(ltn12.source.string(big), ltn12.sink.file(io.open(name, 'w'))))
local sink, list = ltn12.sink.table()
show(ltn12.pump.all(ltn12.source.file(io.open(name)), ltn12.sink.chain(ltn12.filter.chain(upper, upper), sink)))
show(table.concat(list) == big, #list, ltn12.BLOCKSIZE)
drain(ltn12.source.file(io.open(folder .. '/missing')))
drain(ltn12.source.file(nil, 'own message'))
try(ltn12.sink.file(nil, 'no sink'), 'x')
show(ltn12.pump.step(ltn12.source.string(''), ltn12.sink.null()))
try(ltn12.source.chain)
os.remove(name)
