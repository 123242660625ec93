-- binaryheap, fifo, mediator, inifile, luassert, coxpcall: metatables, closures, errors, coroutines
local heap = require 'binaryheap'

local queue = heap.minUnique()
for i, value in ipairs { 5, 3, 9, 1, 7, 3 } do queue:insert(value, 'p' .. i) end
show(queue:peek())
queue:update('p3', 0)
queue:remove('p1')
while queue:size() > 0 do show(queue:pop()) end
show(queue:pop())
local highest = heap.maxHeap(function(a, b) return a > b end)
for i = 1, 100 do highest:insert(i * 37 % 101) end
local sorted = {}
for _ = 1, 100 do sorted[#sorted + 1] = highest:pop() end
show(sorted)
try(queue.insert, queue, 1)
try(queue.insert, queue, 1, nil)
queue:insert(1, 'twice')
try(queue.insert, queue, 2, 'twice')
show(queue:valueByPayload('twice'), queue:peekValue(), queue:size())

local fifo = require 'fifo'
local line = fifo(1, 2, 3)
line:push('four')
show(#line, line:length(), line:peek(2), line:pop(), line:pop(), line:remove(2))
line:insert(1, 'first')
line:setempty(function() return 'nothing left' end)
for i = 1, #line do show(i, line:peek(i)) end
show(line:pop(), line:pop(), line:pop(), line:pop())
try(line.remove, line, 99)
try(fifo(1).insert, fifo(1), 9, 'x')
try(fifo().pop, fifo())

local mediator = require 'mediator' ()
local function note(name) return function(...) show(name, ...) return name, true end end
local all = mediator:subscribe({ 'all' }, note 'all')
mediator:subscribe({ 'all', 'one' }, note 'one', { priority = 1 })
mediator:subscribe({ 'all', 'one' }, note 'even', { predicate = function(n) return n % 2 == 0 end })
show(mediator:publish({ 'all', 'one' }, 1))
show(mediator:publish({ 'all', 'one' }, 2))
all:update { fn = note 'changed' }
show(mediator:publish({ 'all' }, 'x'))
mediator:removeSubscriber(all.id, { 'all' })
show(mediator:publish({ 'all', 'none' }, 'y'))
try(mediator.publish, mediator, nil)

local ini = require 'inifile'
local name = folder .. '/test.ini'
local file = assert(io.open(name, 'w'))
file:write('; a comment\n\n[section]\nkey=value with blanks  \nnumber = 42\nfloat=1.5\nyes = true\nno=false\n# other\n[empty]\n[more]\nlast=x=y\n')
file:close()
local data = ini.parse(name)
show(data, getmetatable(data))
data.section.added = 'new'
data.section.number = nil
show(ini.save(name .. '2', data))
-- the library does not close the file that it writes
collectgarbage()
for text in io.lines(name .. '2') do print(text) end
show(ini.parse(name .. '2'))
try(ini.parse, '[a]\nb=1\n', 'memory')
try(ini.parse, folder .. '/missing.ini')
try(ini.save, folder .. '/no/such/place.ini', data)
os.remove(name)
os.remove(name .. '2')

local check = require 'luassert'
local spy = require 'luassert.spy'
check.are.same({ 1, { 2 } }, { 1, { 2 } })
check.is_not_nil(1)
check.has_error(function() error('x', 0) end, 'x')
for _, f in ipairs {
    function() check.are.equal(1, 2) end, function() check.are.same({ 1, { a = 2 } }, { 1, { a = 3 } }) end, function() check.is_true(nil, 'own text') end,
    function() check.has_error(print) end, function() check.has_no_error(function() error('inside', 0) end) end, function() check.near(1, 2, 0.5) end,
    function() check.matches('%d+', 'none') end, function() check.is_string({}) end, function() check.unique { 1, 1 } end, function() check.nothing() end,
} do
    local ok, failure = pcall(f)
    print(ok, (tostring(type(failure) == 'table' and failure.message or failure):gsub('0x%x+', 'ADDRESS')))
end
local called = spy.new(function(a, b) return a + b end)
show(called(1, 2), called(3, 4))
check.spy(called).was.called(2)
check.spy(called).was.called_with(3, 4)
print((select(2, pcall(function() check.spy(called).was_not.called() end))))
local kept = { method = function() return 'real' end }
local snapshot = check:snapshot()
require('luassert.stub')(kept, 'method').returns('stubbed')
show(kept.method())
snapshot:revert()
show(kept.method())
check:register('assertion', 'even', function(_, arguments) return arguments[1] % 2 == 0 end)
show(pcall(check.even, 2), (pcall(check.even, 3)))

local safe = require 'coxpcall'
try(safe.xpcall, function(a) error(a, 0) end, function(m) return 'handled ' .. m end, 'x')
show(coroutine.wrap(function() return safe.pcall(function() return coroutine.yield('out') end) end)())
