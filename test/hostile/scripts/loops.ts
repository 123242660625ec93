/** Scripts that go on for ever: in the main code, and in every place where Lua calls back. */
import type { HostileScript } from '../offender.ts';

const ENDED = /^500/;
const NO_YIELD = 'Lua calls it through C, where nothing can be suspended';
/** Nothing ends a finaliser or one C function but giving the state up. */
const STANDS_IN_C = 'it stands inside one C function or finaliser, which ends by nothing else';

export const LOOPS: readonly HostileScript[] = [
  { name: 'a loop without end', brief: true, lua: `while true do end`, gets: ENDED },
  {
    name: 'a loop without end in pcall, again and again',
    lua: `while true do pcall(function() while true do end end) end`,
    gets: ENDED,
  },
  {
    name: 'a loop without end in a coroutine that is resumed for ever',
    lua: `local co = coroutine.create(function() while true do end end)
          while true do coroutine.resume(co) end`,
    gets: ENDED,
  },
  {
    name: 'a loop in a wrapped coroutine',
    lua: `coroutine.wrap(function() while true do end end)()`,
    gets: ENDED,
  },
  {
    name: 'a thousand coroutines that loop',

    lua: `local all = {}
          for i = 1, 1000 do all[i] = coroutine.create(function() while true do end end) end
          while true do for _, co in ipairs(all) do coroutine.resume(co) end end`,
    gets: ENDED,
  },
  {
    name: 'a hundred and fifty coroutines inside each other that loop',
    lua: `local function nest(n) if n == 0 then while true do end end
            pcall(coroutine.wrap(function() nest(n - 1) end)) while true do end end
          nest(150)`,
    gets: ENDED,
  },
  {
    name: 'a coroutine that is closed while its close loops',
    lua: `local co = coroutine.create(function()
            local x <close> = setmetatable({}, {__close = function() while true do end end})
            coroutine.yield() end)
          coroutine.resume(co) coroutine.close(co)`,
    gets: ENDED,
    holds: NO_YIELD,
    losesState: STANDS_IN_C,
  },
  {
    name: 'a metamethod __index that loops',
    lua: `local t = setmetatable({}, {__index = function() while true do end end}) return t.x`,
    gets: ENDED,
  },
  {
    name: 'a metamethod __add that loops in pcall',
    lua: `local t = setmetatable({}, {__add = function() while true do end end})
          while true do pcall(function() return t + 1 end) end`,
    gets: ENDED,
  },
  {
    name: 'a finaliser that loops',
    lua: `setmetatable({}, {__gc = function() while true do end end}) collectgarbage()`,
    gets: ENDED,
    holds: NO_YIELD,
    losesState: STANDS_IN_C,
  },
  {
    name: 'a finaliser that loops after its request',
    lua: `for i = 1, 10 do setmetatable({}, {__gc = function() while true do end end}) end`,
    gets: /^200/,
    holds: NO_YIELD,
    losesState: STANDS_IN_C,
  },
  {
    name: 'a message handler that loops',
    lua: `xpcall(error, function() while true do end end)`,
    gets: ENDED,
    holds: NO_YIELD,
    losesState: STANDS_IN_C,
  },
  {
    name: 'a message handler that fails in itself for ever',
    holds: 'nothing can be suspended below a message handler',
    lua: `while true do xpcall(error, function() error('again') end) end`,
    gets: ENDED,
  },
  {
    name: 'a comparator of table.sort that loops',
    lua: `table.sort({3, 2, 1}, function() while true do end end)`,
    gets: ENDED,
    holds: NO_YIELD,
  },
  {
    name: 'a comparator that loops in pcall for ever',
    lua: `table.sort({3, 2, 1}, function() while true do pcall(function() while true do end end) end end)`,
    gets: ENDED,
    holds: NO_YIELD,
  },
  {
    name: 'a comparator that answers at random',
    lua: `local t = {} for i = 1, 1e5 do t[i] = i end
          for n = 1, 1e9 do pcall(table.sort, t, function(a, b) return (a * 7919 + n) % 3 == 0 end) end`,
    gets: ENDED,
    holds: NO_YIELD,
  },
  {
    name: 'a callback of string.gsub that loops',
    lua: `string.gsub('abc', '.', function() while true do end end)`,
    gets: ENDED,
    holds: NO_YIELD,
  },
  {
    name: 'a reader of load that loops',
    lua: `load(function() while true do end end)`,
    gets: ENDED,
    holds: NO_YIELD,
  },
  { name: 'an iterator that loops', lua: `for _ in function() while true do end end do end`, gets: ENDED },
  {
    name: 'a tostring that loops',
    lua: `print(setmetatable({}, {__tostring = function() while true do end end}))`,
    gets: ENDED,
    holds: NO_YIELD,
  },
  {
    name: 'an error whose tostring loops',
    lua: `error(setmetatable({}, {__tostring = function() while true do end end}))`,
    gets: ENDED,
    holds: NO_YIELD,
    losesState: STANDS_IN_C,
  },
  {
    name: 'a variable whose close loops',
    lua: `local x <close> = setmetatable({}, {__close = function() while true do end end}) error('out')`,
    gets: ENDED,
    holds: NO_YIELD,
  },
  {
    name: 'a variable whose close loops at the limit',
    lua: `local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end`,
    gets: ENDED,
    holds: NO_YIELD,
  },
  { name: 'a goto that loops', lua: `::again:: goto again`, gets: ENDED },
  {
    name: 'a for loop over all integers',
    lua: `for i = math.mininteger, math.maxinteger do end`,
    gets: ENDED,
  },
  { name: 'tail calls without end', lua: `local function f() return f() end f()`, gets: ENDED },
  { name: 'twenty loops at once', lua: `while true do end`, gets: ENDED, times: 20 },
  {
    name: 'a task that loops',
    lua: `httpd.wait(httpd.spawn(function() while true do end end))`,
    gets: ENDED,
  },
  {
    name: 'two hundred tasks that loop',

    lua: `for i = 1, 200 do httpd.spawn(function() while true do end end) end`,
    gets: /^(?:200 cut|500)/,
  },
  {
    name: 'a timer that loops every millisecond',

    lua: `local t = httpd.timer(0.001, function() while true do end end, {every = 0.001})
          httpd.sleep(0.5) t:cancel()`,
    gets: /^200/,
  },
  {
    name: 'tasks that spawn tasks for ever',
    lua: `local function again() httpd.spawn(again) end while true do again() httpd.sleep(0) end`,
    gets: ENDED,
  },
  { name: 'sleeps of nothing for ever', lua: `while true do httpd.sleep(0) end`, gets: ENDED },
  { name: 'a sleep that outlasts the time limit', timeout: 1, lua: `httpd.sleep(86400)`, gets: ENDED },
];
