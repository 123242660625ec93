/** Lua texts about the language and its libraries, for the comparison with lua5.4. */
export const LANGUAGE_SNIPPETS: Readonly<Record<string, string>> = {
  '__lt in place of __le': `
    local mt = {} mt.__lt = function(a, b) local x = type(a) == 'table' and a.v or a local y = type(b) == 'table' and b.v or b print('lt', x, y) if x == 9 then return nil end return x < y end
    local function n(v) return setmetatable({v = v}, mt) end
    print(n(1) <= n(2), n(2) <= n(1), n(1) <= n(1), n(1) >= n(2), n(2) >= n(1))
    print(n(1) <= 2, n(3) <= 2, 2 <= n(1), 2 >= n(1), n(1) >= 2, n(1) <= 1.0, 9 <= n(1), n(1) <= n(9))
    print(n(1) <= 2.5, 2.5 <= n(1), n(1) >= -1.0, n(1) <= 70000, 70000 <= n(1))
    if n(1) <= n(2) then print('taken') end if not (n(2) <= n(1)) then print('not taken') end
    print(pcall(function() return {} <= {} end)) print(pcall(function() return 1 <= {} end)) print(pcall(function() return {} <= 1 end)) print(pcall(function() return {} >= 1.0 end)) print(pcall(function() return n(1) <= 'x' end)) print(pcall(function() return 'x' <= n(1) end))`,
  '__le before __lt': `local mt = {__le = function() print('le') return false end, __lt = function() print('lt') return false end} local a, b = setmetatable({}, mt), setmetatable({}, mt) print(a <= b, a >= b, a < b, a <= 1, 1 <= a)`,
  'errors in __lt for __le': `local mt = {__lt = function() error('from lt', 0) end} local a = setmetatable({}, mt) for i = 1, 300 do assert(not pcall(function() return a <= a end)) end print(pcall(function() return a <= a end)) local co = coroutine.wrap(function() print(pcall(function() return a <= 1 end)) coroutine.yield(1) return 2 end) print(co(), co())`,
  'functions of math from Lua 5.3': `
    print(math.pow(2, 10), math.pow(2, 0.5), math.pow(1, 0/0), math.pow(-1, math.huge), math.pow(0, -1), math.pow('2', 3)) print(pcall(math.pow, 1)) print(pcall(math.pow, 'x', 1))
    print(math.log10(1000), math.log10(0), math.cosh(0), math.sinh(0), math.tanh(0), math.cosh(math.huge), math.sinh(-math.huge), math.tanh(1e9))
    print(math.frexp(8), math.frexp(-0.3), math.frexp(0), math.frexp(5e-324), math.frexp(1e308), math.frexp(math.huge)) print(pcall(math.frexp)) print(pcall(math.cosh, {}))
    print(math.ldexp(0.5, 4), math.ldexp(1, -1074), math.ldexp(1, -1075), math.ldexp(3, -1075), math.ldexp(1, 1024), math.ldexp(-1, 5000), math.ldexp(1.5, -1073), math.ldexp(5e-324, 1074), math.ldexp(0, 9), math.ldexp(1, 1 << 32), math.ldexp(1, math.mininteger), math.ldexp(0.75, -1073)) print(pcall(math.ldexp, 1, 1.5)) print(pcall(math.ldexp, 1))`,
  'print of all types': `print(nil, true, 1, 1.0, -0.0, 1e300, 2^53, 2^63, math.mininteger, 1/0, -1/0, 'a\\0b') print(type(print), select('#', nil, nil))`,
  'integers and floats': `print(7 // 2, 7.0 // 2, -7 // 2, 7 % -3, -7 % 3, 7.5 % 2, 1e15, 1e16, 123456789012345678) print(3 | 4, 5 ~ 1, ~0, 1 << 62, 1 << 63, 1 << 64, -1 >> 1)`,
  'division by zero': `print(1 / 0, 0/0 ~= 0/0, pcall(function() return 1 // 0 end)) print(pcall(function() return 1 % 0 end))`,
  'string to number': `print('10' + 5, '0x10' + 0, '1e1' * 1, 10 .. 20, tonumber('  12  '), tonumber('z', 36), tonumber('8', 8), tonumber('1e'), tonumber(''), tonumber('0x'), tonumber('1 2'))`,
  'arithmetic on wrong types': `print(pcall(function() return {} + 1 end)) print(pcall(function() local a = 'x' return a + 1 end)) print(pcall(function() return nil .. 'x' end)) print(pcall(function() return 1 < 'x' end)) print(pcall(function() return {} < {} end)) print(pcall(function() return 1.5 | 1 end)) print(pcall(function() return 2^70 | 1 end))`,
  'names in messages': `local t = {} print(pcall(function() t.x.y = 1 end)) print(pcall(function() undefined_function() end)) print(pcall(function() t:method() end)) print(pcall(function() local u = 5 u() end)) print(pcall(function() return #nil end)) print(pcall(function() return -{} end))`,
  'argument errors of string functions': `
    print(pcall(string.rep)) print(pcall(string.rep, 'x', {})) print(pcall(string.rep, 'x', 1.5)) print(pcall(string.sub)) print(pcall(('x').rep, 'x', 'y'))
    print(pcall(string.char, 256)) print(pcall(string.char, -1)) print(pcall(string.format, '%d', 'x')) print(pcall(string.format, '%d', 1.5)) print(pcall(string.format, '%y', 1)) print(pcall(string.format, '%s'))`,
  'argument errors of table functions': `
    print(pcall(table.concat, {1, {}, 3})) print(pcall(table.insert, {}, 5, 1)) print(pcall(table.insert, {}, 1, 2, 3)) print(pcall(table.unpack, {}, 1, 1e8)) print(pcall(table.sort, {3, 'x'})) print(pcall(table.concat)) print(pcall(ipairs)) print(pcall(setmetatable, 1, {})) print(pcall(setmetatable, {}, 1))`,
  'argument errors with method calls': `local s = 'x' print(pcall(function() s:rep({}) end)) print(pcall(function() s:bad() end)) print(pcall(function() (1):rep() end))`,
  'argument errors of basic functions': `print(pcall(tonumber)) print(pcall(tonumber, 'x', 99)) print(pcall(tonumber, 1, 10)) print(pcall(select, 0)) print(pcall(rawlen, 1)) print(pcall(rawget, 1, 2)) print(pcall(rawset, {}, nil, 1)) print(pcall(next, {}, 'nokey')) print(pcall(getmetatable)) print(pcall(assert)) print(pcall(assert, false)) print(pcall(assert, nil, 'm')) print(pcall(assert, false, {}) == false)`,
  'assert gives back its arguments': `print(assert(1, 2, 3)) print(select('#', assert(true, nil, nil))) print(select(-1, 1, 2, 3)) print(pcall(select, -5, 1))`,
  'string.format': `print(string.format('%5d|%-5d|%05d|%+d|%x|%X|%o|%c|%e|%g|%a|%s|%q|%%|%10.3s|', 42, 42, 42, 42, 255, 255, 8, 65, 1.5, 1e20, 1.0, 'str', 'q\\n"\\0\\r', 'abcdef')) print(string.format('%q', 1/3), string.format('%q', math.mininteger), string.format('%i', 3.0))`,
  'string.pack': `print(string.pack('<i4', 1):byte(1, -1)) print(string.unpack('<d', string.pack('<d', 1.5))) print(string.packsize('i4i8')) print(pcall(string.pack, 'i17', 1)) print(pcall(string.unpack, 'i4', 'abc')) print(string.unpack('z', 'abc\\0rest')) print(string.pack('s1', 'hi'):byte(1, -1))`,
  patterns: `print(('key = value'):match('^(%w+)%s*=%s*(%w+)$')) print(('hello world'):gsub('o', '0', 1)) print(('abc'):gsub('%w', '%0%0')) print(('abc'):gsub('', '-')) print(pcall(string.gsub, 'x', '(', '')) print(pcall(string.find, 'x', '[')) print(pcall(string.rep, 'x', -1)) print(('x'):find('', 10)) print(('f(a(b)c)d'):match('%b()')) print(('THE (quick) fox'):find('%((%a+)%)')) print(pcall(string.gsub, 'x', 'x', '%2'))`,
  'byte strings with every value': `local t = {} for i = 0, 255 do t[#t + 1] = string.char(i) end local s = table.concat(t) print(#s, s == s:reverse():reverse(), s:byte(1), s:byte(256), s:find('\\0', 1, true), #s:upper(), s:gsub('%c', ''):len())`,
  utf8: `print(utf8.char(72, 228, 8364, 0x10FFFF)) print(utf8.len('Hä€'), utf8.len('\\xff')) for p, c in utf8.codes('ä€') do print(p, c) end print(pcall(utf8.codepoint, '\\xff')) print(utf8.offset('aä€', 3))`,
  math: `print(math.type(1), math.type(1.0), math.type('1'), math.tointeger('8'), math.tointeger(3.5), math.max(1, 2.5), math.fmod(-7, 3), math.ult(1, -1), math.floor(-3.5), math.ceil(3.2), math.huge, math.pi) print(pcall(math.random, 2, 1)) print(pcall(math.floor, 'x')) print(pcall(math.max))`,
  'next, pairs and ipairs': `local t = {10, 20, nil, 40, x = 1} local n = 0 for k in pairs(t) do n = n + 1 end print(n) for i, v in ipairs(t) do print(i, v) end print(next({})) print(rawlen({1, 2}), rawequal(t, t), rawget(t, 'x'))`,
  '__pairs, __index and __newindex': `local log = {} local t = setmetatable({}, {__index = function(_, k) return k .. '!' end, __newindex = function(t, k, v) rawset(t, k, v * 2) end, __pairs = function() return function(_, k) if not k then return 1, 'one' end end, nil, nil end}) print(t.a) t.b = 2 print(t.b) for k, v in pairs(t) do print(k, v) end`,
  __metatable: `local t = setmetatable({}, {__metatable = 'locked'}) print(getmetatable(t)) print(pcall(setmetatable, t, {}))`,
  '__tostring and __name': `print(tostring(setmetatable({}, {__tostring = function() return 'shown' end}))) print(pcall(tostring, setmetatable({}, {__tostring = function() return 1 end}))) print((tostring(setmetatable({}, {__name = 'My.Type'})):gsub('0x%x+', '')))`,
  '__gc order': `collectgarbage('stop') for i = 1, 3 do setmetatable({}, {__gc = function() print('gc', i) end}) end collectgarbage() collectgarbage() collectgarbage('restart')`,
  'weak tables': `local w = setmetatable({}, {__mode = 'k'}) w[{}] = 1 local key = {} w[key] = 2 collectgarbage() local n = 0 for _ in pairs(w) do n = n + 1 end print(n)`,
  'integer for loops': `for i = math.maxinteger - 1, math.maxinteger do print(i) end for i = 1, 0 do print('never') end for i = 1.0, 2 do print(i) end print(pcall(function() for i = 1, 10, 0 do end end)) print(pcall(function() for i = 'x', 2 do end end))`,
  'goto and labels': `do local i = 1 ::top:: if i <= 3 then print(i) i = i + 1 goto top end end print(load('goto nowhere'))`,
  attributes: `local c <const> = 5 print(c) print(load('local x <const> = 1 x = 2')) print(load('local x <strange> = 1'))`,
  'syntax errors': `print(load('x = = 1')) print(load('for')) print(load('x = "abc')) print(load('return 0x')) print(load('a.b:c = 1')) print(load('break')) print(load('x = }', '=name')) print(load('x = }', '@file.lua')) print(load('x = }', 'the text itself')) print(load('\\27Lua', 'b', 't'))`,
  'load with modes and environments': `print(load('return x', 'c', 't', {x = 5})()) print(load(function() return nil end)) local parts = {'return ', '1', '+1'} local i = 0 print(load(function() i = i + 1 return parts[i] end)()) print(pcall(load, 1)) print(load(function() return {} end)) print(load(function() error('reader', 0) end)) local f = load('return ...') print(f(1, 2))`,
  _ENV: `local function f() local _ENV = {print = print, y = 3} print(y, x) x = 1 return _ENV end local e = f() print(e.x, x) local _ENV <const> = {print = print} print(tostring)`,
  varargs: `local function f(...) local a, b = ... return select('#', ...), a, b, ... end print(f()) print(f(nil)) print((f(1, 2))) print(table.pack(f(1, nil, 3)).n) print(table.unpack({1, 2, 3}, 2)) print(table.unpack({}, 1, 3))`,
  'multiple assignment': `local a, b, c = (function() return 1, 2 end)() print(a, b, c) local t = {(function() return 1, 2 end)(), (function() return 1, 2 end)()} print(#t) a, b = b, a print(a, b)`,
  'table functions': `local t = {5, 2, 8, 1} table.sort(t, function(x, y) return x > y end) print(table.concat(t, ',')) table.insert(t, 1, 9) print(table.remove(t), table.remove(t, 1), #t) print(table.concat(table.move({1, 2, 3}, 1, 3, 2), ',')) print(table.concat({}, ','), table.concat({1, 2, 3}, '-', 2, 3)) print(pcall(table.sort, {1, 2, 3, 4, 5, 6, 7, 8}, function() return true end)) print(table.remove({}), table.remove({}, 0))`,
  closures: `local fs = {} for i = 1, 3 do fs[i] = function() i = i + 1 return i end end print(fs[1](), fs[1](), fs[2]())`,
  'long strings': `print(#([[\nline]]), [==[a]]b]==], '\\x41\\65\\u{48}\\z   end', "a\\\nb")`,
  'string methods': `print(('Hello'):len(), ('Hello'):lower(), ('Hello'):upper(), ('Hello'):reverse(), ('Hello'):byte(-1), ('Hello'):sub(-3, -2), ('ab'):rep(3, '-'), #('x'):rep(0)) print(pcall(string.rep, "xy", 1 << 62))`,
  'string comparison': `print('a' < 'b', 'a' < 'B', 'a\\0b' < 'a\\0c', '' < 'a', 'Z' < 'a', '10' < '9')`,
  'os.time and os.date': `print(os.time({year = 2024, month = 2, day = 30, hour = 12})) print(os.date('!%Y-%m-%d %H:%M:%S', 1700000000)) print(os.date('!%c', 0)) local d = os.date('!*t', 86400) print(d.year, d.month, d.day, d.hour, d.min, d.sec, d.wday, d.yday, d.isdst) print(pcall(os.date, '%Ez', 0)) print(pcall(os.date, '%Q')) print(pcall(os.time, {})) print(os.difftime(10, 5))`,
  'type of os functions': `print(type(os.clock()), math.type(os.time()), os.getenv('NO_SUCH_VARIABLE_HERE'), pcall(os.getenv)) print(os.setlocale('C'), os.setlocale(nil, 'all')) print(type(os.tmpname))`,
  'os.remove and os.rename': `print(os.remove('missing.txt')) print(os.rename('missing.txt', 'other.txt')) io.open('made.txt', 'w'):close() print(os.rename('made.txt', 'moved.txt')) print(os.remove('moved.txt')) print(pcall(os.remove)) print(pcall(os.rename, 'x'))`,
  'os.execute': `print(os.execute('exit 3')) print(os.execute('true')) print(os.execute('kill -9 $$')) print(os.execute())`,
  'require of a module': `package.loaded.module_a = nil local m, where = require('module_a') print(m.name, m.file, where) m.n = 2 print(require('module_a').n, select('#', require('module_a'))) package.loaded.module_a = nil`,
  'require of what is missing': `local ok, m = pcall(require, 'no_such_module') print(ok, (m:match('^module [^\\n]*\\n[^\\n]*')))  print(m:find("no file './no_such_module.lua'", 1, true) ~= nil)`,
  'require of what is broken': `local ok, m = pcall(require, 'broken') print(ok, m) ok, m = pcall(require, 'raises') print(ok, m)`,
  'package.preload and package.searchpath': `package.preload.made_up = function(name, extra) return name .. tostring(extra) end print(require('made_up')) package.loaded.made_up = nil package.preload.made_up = nil print(package.config:sub(1, 1), type(package.searchers), package.path)`,
  dofile: `print(dofile('chunk.lua')) print(pcall(dofile, 'missing.lua')) print(pcall(dofile, 'broken.lua')) print(pcall(dofile, 'raises.lua'))`,
  loadfile: `local f = loadfile('chunk.lua') print(f('a', 'b')) print(loadfile('missing.lua')) print(loadfile('broken.lua')) local e = {} print(loadfile('env.lua', 't', e)(), e.x, e.y, x) print(loadfile('env.lua', 'b'))`,
  debug: `print(debug.traceback('message', 1):match('^[^\\n]*\\n[^\\n]*')) local function f(a, b) local c = 3 local name, value = debug.getlocal(1, 3) return name, value end print(f(1, 2)) print(debug.getinfo(f, 'S').short_src, debug.getinfo(f, 'u').nparams) print(debug.getinfo(print, 'S').what) print((debug.traceback(12):match('^%d+')), debug.traceback({}) ~= nil)`,
  collectgarbage: `print(type(collectgarbage('count')), type(collectgarbage('step')), collectgarbage('isrunning')) collectgarbage('generational') print(collectgarbage('incremental')) print(pcall(collectgarbage, 'nonsense')) print(collectgarbage('stop'), collectgarbage('isrunning'), collectgarbage('restart'))`,
  warn: `print(pcall(warn)) print(pcall(warn, 1, {}))`,
  'an empty error message': `error('')`,
  'a number as error message': `error(12.5)`,
  'an error from C': `string.rep()`,
  'an error from a callback': `table.sort({1, 2, 3}, function() error('compare') end)`,
  'an error from gsub': `('x'):gsub('x', function() return {} end)`,
};
