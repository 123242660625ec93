/** Scripts that want all the memory there is, inside the state and outside. */
import type { HostileScript } from '../offender.ts';

const FULL = /^500/;
const IN_C = 'copies and collections run in C';

export const MEMORY: readonly HostileScript[] = [
  {
    name: 'memory in large pieces',
    lua: `local t, piece = {}, ('x'):rep(100000) while true do t[#t + 1] = piece:rep(40) end`,
    gets: FULL,
  },
  { name: 'a string that doubles for ever', lua: `local s = 'x' while true do s = s .. s end`, gets: FULL },
  {
    name: 'a string that doubles for ever in pcall',

    lua: `while true do pcall(function() local s = 'x' while true do s = s .. s end end) end`,
    gets: FULL,
  },
  {
    name: 'string.rep of all memory in pcall',
    holds: 'one call of string.rep makes a string of fifty million pieces',
    lua: `while true do pcall(string.rep, 'x', 50 * 1024 * 1024) end`,
    gets: FULL,
  },
  { name: 'string.rep of ten billion bytes', lua: `return string.rep('x', 1e10)`, gets: FULL },
  {
    name: 'string.rep of nothing ten billion times',
    lua: `return #string.rep('', 1e10)`,
    gets: FULL,
    holds: IN_C,
    losesState: 'one call of string.rep ends by nothing else',
  },
  {
    name: 'a table that grows for ever',
    lua: `local t = {} for i = 1, math.huge do t[i] = {i} end`,
    gets: FULL,
  },
  {
    name: 'a table of strings that grows for ever',
    lua: `local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end`,
    gets: FULL,
  },
  {
    name: 'a global that grows for ever',

    lua: `hoard = hoard or {} while true do hoard[#hoard + 1] = ('x'):rep(100000) .. #hoard end`,
    gets: FULL,
  },
  {
    name: 'table.concat over a billion',
    lua: `return table.concat(setmetatable({}, {__index = function() return '' end}), '', 1, 1e9)`,
    gets: FULL,
    holds: IN_C,
  },
  {
    name: 'table.move over a billion',
    lua: `table.move({}, 1, 1e9, 2)`,
    gets: FULL,
    holds: IN_C,
    losesState: 'one call of table.move ends by nothing else',
  },
  {
    name: 'table.unpack of a hundred million',
    lua: `return select('#', table.unpack({}, 1, 1e8))`,
    gets: FULL,
  },
  {
    name: 'a reader of load that never ends',
    lua: `load(function() return 'x = 1 ' end)`,
    gets: FULL,
    holds: IN_C,
  },
  {
    name: 'coroutines without end',
    lua: `local t = {} while true do local co = coroutine.create(function() coroutine.yield() end)
            coroutine.resume(co) t[#t + 1] = co end`,
    gets: FULL,
  },
  {
    name: 'closures and upvalues without end',
    lua: `local t = {} while true do local x = {} t[#t + 1] = function() return x end end`,
    gets: FULL,
  },
  {
    name: 'the collector stopped',
    lua: `collectgarbage('stop') while true do local t = {{}, {}, {}} end`,
    gets: FULL,
  },
  {
    name: 'a whole body of a megabyte read a thousand times over',
    lua: `local s = httpd.read(nil, 'a') local t = {} for i = 1, 1000 do t[i] = s .. i end`,
    ask: { method: 'POST', body: 'b'.repeat(1024 * 1024) },
    gets: FULL,
  },
  {
    name: 'a body larger than the state read at once',

    lua: `local s, message, code = httpd.read(nil, 'a') return code`,
    ask: { method: 'POST', body: Buffer.alloc(100 * 1024 * 1024, 'b') },
    gets: /^(?:413|500|200 survived limit)/,
  },
  {
    name: 'four bodies larger than the state at once',
    lua: `local s, message, code = httpd.read(nil, 'a') return code`,
    ask: { method: 'POST', body: Buffer.alloc(80 * 1024 * 1024, 'b') },
    times: 4,
    gets: /^(?:413|500|200 survived limit)/,
  },
  {
    name: 'a sparse file of a gigabyte read at once',

    lua: `local f <close> = assert(io.tmpfile()) f:seek('set', 1024 * 1024 * 1024) f:write('x') f:flush() f:seek('set', 0)
          local s, message, code = f:read('a') return code or message`,
    gets: /^(?:500|200 survived (?:limit|.*(?:memory|limit)))/,
  },
  {
    name: 'a line of a gigabyte',
    lua: `local f <close> = assert(io.tmpfile()) f:seek('set', 1024 * 1024 * 1024) f:write('x') f:flush() f:seek('set', 0)
          local s, message, code = f:read('l') return code or message`,
    gets: /^(?:500|200 survived (?:limit|.*(?:memory|limit)))/,
  },
  {
    name: 'a program that writes for ever, read at once',

    lua: `local p <close> = assert(io.popen('cat /dev/zero')) local s, message, code = p:read('a') return code or message`,
    gets: /^(?:500|200 survived (?:limit|.*(?:memory|limit)))/,
  },
  {
    name: 'a reader of files that keeps what it reads',
    lua: `local f <close> = assert(io.open('/dev/zero')) local t = {} while true do t[#t + 1] = f:read(65536) .. #t end`,
    gets: FULL,
  },
];
