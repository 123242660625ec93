-- Whole programs written in Lua: luacheck checks sources, luaunit runs tests, moses, uri, logging
local luacheck = require 'luacheck'

local sources = {
    clean = 'local x = 1\nreturn x\n', unused = 'local a, b = 1\nlocal function f(c) local d end\nfor i = 1, 3 do end\n', globals = 'x = y\nprint(z.w)\nstring.none()\n',
    broken = 'local x = = 1\n', unreachable = 'do return end\nprint(1)\n', shadow = 'local x = 1\ndo local x = x print(x) end\nreturn function(self) return x end\n',
    long = 'local t = {' .. ('1, '):rep(200) .. '}\nreturn t\n', goto_out = 'for _ = 1, 2 do goto next ::next:: end ::unused:: goto gone\n', attributes = 'local x <const> = 1\nlocal y <close> = nil\nx = 2\n',
    escapes = 'return "\\u{1F600}\\z\n  \\x41\\065", [==[\n]]]==], 0x1p4, 1e10, 3 // 2, ~5, 1 << 2\n', fields = 'local t = { a = 1, a = 2 }\nt.b.c = t:d()\nif t then else end\nreturn t\n',
}
local names = {}
for name in pairs(sources) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do
    local report = luacheck.check_strings({ sources[name] }, { std = 'lua54', max_line_length = 120 })
    show(name, report.warnings, report.errors, report.fatals)
    for _, warning in ipairs(report[1]) do
        print(warning.line, warning.column, warning.code, luacheck.get_message(warning))
    end
end
local report = luacheck.check_strings({ '-- luacheck: ignore 211\nlocal x\nlocal y -- luacheck: ignore\n' }, {})
show(report.warnings, #report[1])
report = luacheck.check_files({ package.searchpath('inspect', package.path), folder .. '/none.lua' }, { std = 'max' })
show(report.warnings > 0, report.fatals, report[2].fatal)
try(luacheck.check_strings, 5)

local lu = require 'luaunit'
for _, f in ipairs {
    function() lu.assertEquals(1, 1) end, function() lu.assertEquals({ 1, { 2 } }, { 1, { 3 } }) end, function() lu.assertEquals('a\nb', 'a\nc') end, function() lu.assertAlmostEquals(1, 1.1, 0.2) end,
    function() lu.assertAlmostEquals(1, 2, 0.5) end, function() lu.assertError(error, 'x') end, function() lu.assertErrorMsgContains('boom', function() error('boom!') end) end,
    function() lu.assertErrorMsgEquals('other', function() error('boom', 0) end) end, function() lu.assertItemsEquals({ 1, 2, 3 }, { 3, 1, 2 }) end, function() lu.assertStrMatches('abc', '%a+') end,
    function() lu.assertNil(false) end, function() lu.assertIsTable('x') end, function() lu.assertStrContains('hello', 'z') end, function() lu.assertTrue(1) end, function() lu.assertNotEquals(1, 1) end,
    function() lu.assertIs({}, {}) end, function() lu.fail('own message') end, function() lu.assertNaN(1) end, function() lu.assertTableContains({ 1, 2 }, 5) end, function() lu.assertEvalToTrue(nil) end,
} do
    local ok, failure = pcall(f)
    print(ok, (tostring(type(failure) == 'table' and failure.msg or failure):gsub('0x%x+', 'ADDRESS'):gsub('table %d+', 'table'):gsub('^[^\n]-:%d+: ', '')))
end
print((lu.prettystr({ 1, 'two', { a = true } }):gsub('0x%x+', 'ADDRESS')))
local old = io.output()
local log = folder .. '/unit.txt'
TestSuite = {
    setUp = function(self) self.ready = true end,
    testPasses = function(self) lu.assertTrue(self.ready) end,
    testFails = function() lu.assertEquals(1, 2) end,
    testSkips = function() lu.skip('not today') end,
    testRaises = function() local t = nil return t.x end,
}
for _, form in ipairs { 'tap', 'junit', 'nil' } do
    local runner = lu.LuaUnit.new()
    runner:setOutputType(form, folder .. '/junit')
    local out = assert(io.open(log, 'w'))
    local real = io.stdout
    io.stdout = out
    local print_before = _G.print
    _G.print = function(...) out:write(table.concat({ ... }, '\t'), '\n') end
    local code = runner:runSuiteByInstances { { 'TestSuite', TestSuite } }
    io.stdout, _G.print = real, print_before
    out:close()
    show(form, code, runner.result.passedCount, runner.result.failureCount, runner.result.errorCount, runner.result.skippedCount)
    print((io.open(log):read('a'):gsub('%d+%.%d+ seconds', 'SECONDS'):gsub('Started on [^\n]*', 'STARTED')))
end
local written = io.open(folder .. '/junit.xml'):read 'a'
print((written:gsub('timestamp="[^"]*"', 'TIME'):gsub('time="[^"]*"', 'TIME'):gsub('hostname="[^"]*"', 'HOST'):gsub('in %w+ \'[^\n]*', ''):gsub('\n[^<\n]*%[C%][^\n]*', '')):sub(1, 400))
TestSuite = nil
os.remove(log)
os.remove(folder .. '/junit.xml')
show(io.output() == old)

local M = require 'moses'
show(M.map({ 1, 2, 3 }, function(v) return v * v end), M.select({ 1, 2, 3, 4 }, function(v) return v % 2 == 0 end), M.reduce({ 1, 2, 3 }, function(a, b) return a + b end), M.flatten { 1, { 2, { 3, { 4 } } } })
show(M.chunk({ 1, 1, 2, 3, 3 }, function(v) return v % 2 == 0 end), M.groupBy({ 1, 2, 3, 4 }, function(v) return v % 2 == 0 and 'even' or 'odd' end), M.sortBy({ 3, 1, 2 }), M.uniq { 1, 2, 1, 3 }, M.zip({ 1, 2 }, { 'a', 'b' }))
show(M.range(1, 5), M.range(5, 1, -2), M.slice({ 1, 2, 3, 4 }, 2, 3), M.difference({ 1, 2, 3 }, { 2 }), M.union({ 1, 2 }, { 2, 3 }), M.intersection({ 1, 2, 3 }, { 2, 3, 4 }), M.tabulate(M.partition({ 1, 2, 3, 4 }, 2)))
show(M.isEqual({ 1, { 2 } }, { 1, { 2 } }), M.clone { a = { 1 } }, M.keys { 5, 6 }, M.pick({ a = 1, b = 2 }, 'a'), M.omit({ a = 1, b = 2 }, 'a'), M.invert { 'a', 'b' }, M.min { 3, 1 }, M.max { 3, 1 }, M.countBy({ 'a', 'bb', 'c' }, function(v) return #v end))
show(M.chain({ 1, 2, 3, 4 }):filter(function(v) return v > 1 end):map(function(v) return v * 10 end):value(), M({ 1, 2 }):map(function(v) return -v end):value(), M.compose(tostring, math.abs)(-5), M.curry(function(a, b, c) return a + b + c end, 3)(1)(2)(3))
show(M.memoize(function(v) return v * 2 end)(4), M.once(function(v) return v end)(7), M.after(print, 2) ~= nil, M.times(function(i) return i end, 3), M.partial(math.max, 5)(3), M.juxtapose(2, tostring, math.abs))
for value in M.iterator(function(v) return v * 2 end, 1, 4) do show(value) end
show(M.tabulate(M.permutation { 1, 2, 3 }), M.powerset and M.powerset { 1, 2 }, M.isCallable(print), M.isInteger(5), M.isNaN(0 / 0), M.isEmpty {})
try(M.map, nil, print)
try(function() return M.unknown_function() end)

local URI = require 'uri'
for _, address in ipairs {
    'http://Example.COM:80/a/../b/./c?x=1#f', 'https://user:pw@host:8443/', 'mailto:a@b', 'ftp://u@h/p;type=a', 'data:text/plain;charset=utf-8,hello%20world', 'urn:isbn:0-395-36341-1', 'file:///etc/passwd',
    'telnet://h:23/', 'http://[::1]:8080/x', '//rel/path', '../up?q', '', 'http://a b/', 'nonsense:x%zz', 'urn:oid:1.2.3', 'rtsp://h/x', 'pop://me@mail:110',
} do
    local ok, uri, message = pcall(URI.new, URI, address)
    if ok and uri then
        print(uri, uri:scheme(), uri:host(), uri:port(), uri:path(), uri:query(), uri:fragment(), uri:userinfo(), uri._NAME, uri:is_relative())
    else
        print(address, ok, uri, message)
    end
end
local uri = URI:new('http://h/a/b/c')
print(URI:new('../x?y', 'http://h/a/b/c'), URI:new('//other/z', 'https://h/'), uri:path('/new path'), uri, uri:query('k=v'), uri, URI.eq('HTTP://A:80/%7Ex', 'http://a/~x'))
print(URI:new('http://h/a/d'):relativize('http://h/a/b/c'), pcall(uri.scheme, uri, '1bad'), pcall(uri.port, uri, 'x'), pcall(URI.new))

local logging = require 'logging'
local lines = {}
local logger = logging.new(function(_, level, message) lines[#lines + 1] = logging.prepareLogMsg('%level %message\n', 'DATE', level, message) return true end)
logger:setLevel(logging.INFO)
logger:debug('not shown')
logger:info('shown %s', 'here')
logger:warn({ a = 1, 'x' })
logger:error(function(...) return 'from a function ' .. select('#', ...) end, 1, 2)
logger:log(logging.FATAL, 'fatal')
show(lines)
try(logger.setLevel, logger, 'LOUD')
try(logging.new, 5)
local place = folder .. '/log.txt'
local to_file = require 'logging.file' (place, nil, '%level: %message\n')
to_file:info('first')
to_file:fatal('second %d', 2)
show(io.open(place):read 'a')
os.remove(place)
local rolling = require 'logging.rolling_file' (place, 60, 2, '%message\n')
for i = 1, 8 do rolling:info('a line of some length, number ' .. i) end
for _, name in ipairs { place, place .. '.1', place .. '.2', place .. '.3' } do
    local file = io.open(name)
    show(name, file and file:read 'a')
    if file then file:close() end
    os.remove(name)
end
-- their files are open as long as the modules are loaded
to_file, rolling = nil, nil
for _, module in ipairs { 'file', 'rolling_file' } do package.loaded['logging.' .. module], logging[module] = nil, nil end
collectgarbage()
collectgarbage()
