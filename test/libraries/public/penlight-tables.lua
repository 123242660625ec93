-- Penlight's containers and functions: List, Map, OrderedMap, MultiMap, Set, tablex, seq, array2d, permute, func, comprehension, class
local List = require 'pl.List'

local list = List { 3, 1, 2 }
print(list, List(), List { 'a', { 1 } }, list .. List { 9 }, list == List { 3, 1, 2 }, list:clone() == list, #list)
print(list:append(4):extend { 5, 6 }:insert(1, 0), list:put(-1), list:remove(2), list:remove_value(6), list:pop(), list:pop(1))
print(list:sort(), list:sorted '>', list:reverse(), list:slice(1, 2), list:slice(-2), list:index(4), list:index(99), list:contains(2), list:count(1), list:len())
print(list:minmax(), list:map '_*10', list:map(math.max, 2), list:filter '_ > 1', list:reduce '+', List.range(1, 10, 3), List.range(0, 1, 0.25), List.split('a b c'))
print(List { 1, 2, 3, 4, 5 }:splice(2, { 'x', 'y' }), List { 1, 2, 3, 4, 5 }:chop(2, 3), List { 1, 2, 3 }:slice_assign(1, 2, { 'z' }), List { 1, 2, 3 }:clear())
print(List { 'a', 'b' }:join ',', List { 'x', 1 }:concat '-')
print(List { 'b', 'a' }:mapm('upper'), List { 'abc' }:mapm('sub', 1, 2), List.iterate('xyz')(), List { { 1 }, { 2 } }:foreach(function(x) show(x) end))
for item in list:iter() do show(item) end
for item in List.iterate { a = 1 } do show(item) end
try(List.insert, list)
try(list.put)
try(function() return List { 1 } + 1 end)
try(function() return list:map '_ +' end)
try(List, 5)

local Map, OrderedMap, MultiMap, Set = require 'pl.Map', require 'pl.OrderedMap', require 'pl.MultiMap', require 'pl.Set'
local map = Map { one = 1 }
map:set('two', 2)
map:update { three = 3 }
print(map:keys():sort(), map:values():sort(), map:items():map(function(pair) return pair[1] .. pair[2] end):sort(), map:len(), map:get 'one', map:setdefault('four', 4), map == Map { one = 1 })
print(Map { a = 1 }, map:getvalues { 'one', 'none' }, Map { 1, 2 } == Map { 1, 2 })
local ordered = OrderedMap()
for word in ('the quick brown fox'):gmatch '%a+' do ordered:set(word, #word) end
ordered:set('quick', nil)
ordered:insert(1, 'first', 0)
print(ordered, ordered:keys(), ordered:values(), ordered:len())
for key, value in ordered:iter() do show(key, value) end
for key, value in pairs(ordered) do show(key, value) end
print(ordered:sort(), OrderedMap { { z = 1 }, { a = 2 } })
local many = MultiMap()
many:set('k', 1)
many:set('k', 2)
show(many:get 'k', many.k, many:len())
local a, b = Set { 1, 2, 3 }, Set { 2, 3, 4 }
print(List(Set.values(a + b)):sort(), List(Set.values(a * b)):sort(), Set.values(a - b), List(Set.values(a ^ b)):sort(), a < Set { 1, 2, 3, 4 }, a == Set { 3, 2, 1 }, #a, Set { 'x' }, a[2], a[9])
print(Set.isempty(Set {}), Set.issubset(a, b), Set.isdisjoint(a, Set { 7 }), Set.len(a), List(Set.values(Set.map(a, '_*2'))):sort(), List(Set.values(Set(List { 1, 1, 2 }))):sort())
try(function() a.x = 1 return rawget(a, 'x') end)

local tablex = require 'pl.tablex'
show(tablex.map('_*2', { 1, 2, a = 3 }), tablex.imap('..', { 'a', 'b' }, 'x'), tablex.map2('+', { 1, 2 }, { 10, 20 }), tablex.mapn(function(x, y, z) return x + y + z end, { 1 }, { 2 }, { 3 }))
show(tablex.reduce('*', { 1, 2, 3, 4 }), tablex.reduce('-', { 1 }, 10), tablex.filter({ 1, 2, 3 }, '>', 1), tablex.size { a = 1, 2 }, tablex.range(1, 10, 4), tablex.range(5, 1, -2))
show(tablex.deepcopy { 1, { 2, { 3 } } }, tablex.copy { a = { 1 } }, tablex.deepcompare({ 1, { 2 } }, { 1, { 2 } }), tablex.deepcompare({ 1.0001 }, { 1 }, true, 0.001), tablex.compare({ 1, 2 }, { 1, 3 }, '=='))
show(tablex.compare_no_order({ 1, 2 }, { 2, 1 }), tablex.find({ 5, 6, 7 }, 6), tablex.find({ 5, 6 }, 9), tablex.rfind({ 1, 2, 1 }, 1), tablex.find_if({ 1, 5 }, '>', 3), tablex.index_by({ 'a', 'b', 'c' }, { 3, 1 }))
show(tablex.index_map { 'a', 'b' }, tablex.makeset { 'x', 'y' }, tablex.merge({ a = 1, b = 2 }, { b = 3, c = 4 }), tablex.merge({ a = 1 }, { b = 2 }, true), tablex.union({ a = 1 }, { b = 2 }), tablex.difference({ a = 1, b = 1 }, { b = 1 }, true))
show(tablex.count_map { 'a', 'b', 'a' }, tablex.sub({ 1, 2, 3, 4 }, 2, -2), tablex.new(3, 'x'), tablex.insertvalues({ 1, 4 }, 2, { 2, 3 }), tablex.removevalues({ 1, 2, 3, 4 }, 2, 3), tablex.icopy({ 1, 2, 3 }, { 8, 9 }, 2), tablex.move({ 1, 2, 3 }, { 9 }, 3))
show(tablex.zip({ 1, 2 }, { 'a', 'b' }), tablex.keys { 5, 6 }, tablex.values { 5, 6 }, tablex.pairmap(function(k, v) return k .. v end, { 7, 8 }), tablex.transform('_+1', { 1, 2 }), tablex.foreachi({ 1 }, function(v, i) show(v, i) end))
for key, value in tablex.sort { c = 1, a = 3, b = 2 } do show(key, value) end
for key, value in tablex.sortv({ c = 1, a = 3, b = 2 }, '>') do show(key, value) end
show(tablex.search(package.loaded, tablex))
local readonly = tablex.readonly { 1, 2, x = 3 }
show(readonly[1], #readonly, readonly.x)
try(function() readonly.y = 1 end)
for key, value in ipairs(readonly) do show(key, value) end
try(tablex.map, nil, {})
try(tablex.map, '_+', { 1 })
try(tablex.deepcopy, 5)
try(tablex.size, 5)
local loop = { name = 'loop' }
loop.loop = loop
local copied = tablex.deepcopy(loop)
show(copied.loop == copied, copied == loop, tablex.deepcompare(loop, copied))

local seq = require 'pl.seq'
show(seq.copy(seq.range(1, 5)), seq.sum { 1, 2, 3 }, seq.minmax { 4, 9, 2 }, seq.count({ 1, 2, 3 }, seq.greater_than(1)), seq.reduce('..', { 'a', 'b' }), seq.copy(seq.filter(seq.list { 1, 5, 9 }, seq.less_than(6))))
show(seq.copy(seq.map('_^2', seq.range(1, 3))), seq.copy(seq.take(seq.range(1, 100), 3)), seq.copy(seq.skip(seq.list { 1, 2, 3 }, 1)), seq.copy2(seq.enum { 'a', 'b' }), seq.copy(seq.unique { 1, 2, 1, 3 }) and true, seq.copy(seq.splice({ 1 }, { 2, 3 })))
show(seq.copy(seq.sort { 3, 1, 2 }), seq.count_map { 'x', 'y', 'x' }, seq.copy2(seq.zip({ 1, 2 }, { 'a', 'b' })), seq.copy(seq.last { 1, 2, 3 }), seq.copy_tuples(seq.enum { 'p' }))
show(seq { 1, 2, 3, 4 }:filter('>', 1):map('_*10'):take(2):copy())
local name = folder .. '/seq.txt'
io.open(name, 'w'):write('10\n20\nx\n'):close()
show(seq.copy(io.lines(name)))
os.remove(name)
try(seq.lines, folder .. '/missing')

local array2d = require 'pl.array2d'
local grid = array2d.new(2, 3, function(row, column) return row * 10 + column end)
try(function() return grid, array2d.size(grid), array2d.column(grid, 2), array2d.row(grid, 1), array2d.map(function(x) return x - 10 end, grid), array2d.reduce_rows('+', grid), array2d.reduce_cols(math.max, grid) end)
try(function() return array2d.transpose and array2d.transpose(grid), array2d.flatten(grid), array2d.reshape(grid, 3), array2d.slice(grid, 1, 2, 2, 3), array2d.product('..', { 1, 2 }, { 'a' }), array2d.extract_cols(array2d.new(1, 3, 7), { 1, 3 }) end)
for row, column, value in array2d.iter(grid, true) do show(row, column, value) end
array2d.swap_rows(grid, 1, 2)
array2d.set(grid, 0, 1, 1, 1, 2)
try(function() return grid, array2d.range(grid, 'A1:B2'), array2d.parse_range 'R1C1:R2C3' end)
local printed = io.open(name, 'w')
array2d.write(grid, printed, '%3d')
printed:close()
try(function() return io.open(name):read 'a' end)
os.remove(name)
for order in require('pl.permute').iter { 1, 2, 3 } do print(table.concat(order, ' ')) end

local func, _ENV_before = require 'pl.func', _ENV
local _1, _2, _ = func._1, func._2, func._
try(function() return func.I(_1 + _2)(2, 3), func.I(_1 * 2 + 1)(5), func.I(_1:upper())('x'), func.bind(math.max, 5, _1)(9), func.bind1(print) and true, func.compose(tostring, math.abs)(-5) end)
try(function() return _1 + _2 * 3, -_1, _1 .. 'x', _1(_2), func.Not(_1), func.And(_1, _2), _1[1], func.register(math.sin)(_1) end)
try(function() return func.I(func.Lt(_1, 5))(3), func.isPE(_1), func.curry and func.curry(math.max, 3)(1), _ENV_before == _ENV end)
local C = require 'pl.comprehension'.new()
try(function() return C 'x*x for x' { 1, 2, 3 }, C 'x for x if x % 2 == 0' { 1, 2, 3, 4 }, C '{x, y} for x for y' ({ 1, 2 }, { 'a' }), C 'sum(x) for x' { 1, 2, 3 }, C 'x for x = 1, 3' (), C 'table(k, v * 2) for k, v in pairs(_1)' { a = 1 } end)
try(C, 'x for')
try(C 'x.y for x', { 1 })

local class = require 'pl.class'
local Animal = class()
function Animal:_init(given) self.name = given end
function Animal:__tostring() return self.name .. ': ' .. self:speak() end
function Animal:speak() return 'nothing' end
local Dog = class(Animal)
function Dog:speak() return 'bark' end
local Cat = class(Animal)
function Cat:_init(given, breed)
    self:super(given)
    self.breed = breed
end
function Cat:speak() return 'meow' end
local Lion = class(Cat)
function Lion:speak() return 'roar' end
local fido, felix, leo = Dog 'Fido', Cat('Felix', 'Tabby'), Lion('Leo', 'African')
print(fido, felix, leo, leo:is_a(Animal), leo:is_a(Dog), Dog:class_of(fido), Cat:class_of(leo), Dog:class_of(leo), leo.breed)
class.Named()
function Named:_init() self.x = 1 end
function Named:_index_missing() end
function Named:__eq(other) return self.x == other.x end
try(function() return Named._name, Named() == Named(), tostring(Named):match '^%a+', Named:cast { x = 5 }.x end)
local Lazy = class { _init = function(self) self.calls = 0 end, _handler = function(self, key) self.calls = self.calls + 1 return key .. '!' end }
local lazy = Lazy()
try(function() return lazy.some, lazy.calls end)
local properties = class(require('pl.class').properties)
function properties:get_double() return 2 * self.n end
function properties:set_double(value) self.n = value / 2 end
local holder = properties()
holder.n = 4
holder.double = 20
try(function() return holder.double, holder.n end)
Named = nil
