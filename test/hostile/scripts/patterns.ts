/** Scripts that make one call of a library take for ever. */
import type { HostileScript } from '../offender.ts';

const ENDED = /^500/;
const IN_C = 'one call of a C function cannot be suspended';
const GIVEN_UP = 'one call of a C function ends by nothing else';
const C_CALL = { gets: ENDED, holds: IN_C, losesState: GIVEN_UP } as const;

export const PATTERNS: readonly HostileScript[] = [
  {
    name: 'a pattern that nests captures',
    lua: `local p = ('(.-)'):rep(12) for i = 1, 1e9 do (('x'):rep(200)):find(p .. 'y') end`,
    ...C_CALL,
  },
  {
    name: 'a pattern that tries everything',
    lua: `return ('a'):rep(5000):find(('.-'):rep(20) .. 'b')`,
    ...C_CALL,
  },
  { name: 'a match that backtracks', lua: `return ('a'):rep(30000):match('(a*)(a*)(a*)(a*)b')`, ...C_CALL },
  { name: 'a gmatch that backtracks', lua: `for _ in ('a'):rep(30000):gmatch('a*a*a*b') do end`, ...C_CALL },
  { name: 'a gsub that backtracks', lua: `return ('a'):rep(30000):gsub('a*a*a*b', 'c')`, ...C_CALL },
  { name: 'a gsub that grows', lua: `return #(('a'):rep(1e6):gsub('.', ('b'):rep(1e5)))`, ...C_CALL },
  { name: 'balanced brackets in a long text', lua: `return ('('):rep(1e5):find('%b()')`, ...C_CALL },
  {
    name: 'table.remove from the front of a large table',
    lua: `local t = table.pack(('x'):rep(2e5):byte(1, 2e5)) while true do table.remove(t, 1) t[#t + 1] = 0 end`,
    ...C_CALL,
  },
  {
    name: 'table.insert at the front of a large table',
    lua: `local t = {} while true do table.insert(t, 1, 0) end`,
    ...C_CALL,
  },
  {
    name: 'table.concat of a large table for ever',
    lua: `local t = {} for i = 1, 1e5 do t[i] = 'x' end while true do table.concat(t, ',') end`,
    ...C_CALL,
  },
  {
    name: 'string.format with a wide field',
    lua: `while true do string.format(('%99d'):rep(1000), table.unpack(setmetatable({}, {__index = function() return 1 end}), 1, 1000)) end`,
    ...C_CALL,
  },
  {
    name: 'string.pack of many fields',
    lua: `while true do string.pack(('j'):rep(200), table.unpack(setmetatable({}, {__index = function() return 1 end}), 1, 200)) end`,
    ...C_CALL,
  },
  {
    name: 'string.unpack that jumps',
    lua: `local s = ('x'):rep(1e6) while true do string.unpack('!16' .. ('xi16'):rep(100), s) end`,
    ...C_CALL,
  },
  {
    name: 'utf8.len of a megabyte for ever',
    lua: `local s = ('é'):rep(1e6) while true do utf8.len(s) end`,
    ...C_CALL,
  },
  {
    name: 'string.reverse, upper and lower for ever',
    lua: `local s = ('x'):rep(1e7) while true do s = s:reverse():upper():lower() end`,
    ...C_CALL,
  },
  {
    name: 'comparisons of long strings',
    lua: `local a, b = ('x'):rep(1e7) .. 'a', ('x'):rep(1e7) .. 'b' while true do local _ = a < b end`,
    ...C_CALL,
  },
  {
    name: 'os.date with a format of zones',

    lua: `while true do os.date(('%Z'):rep(10000)) end`,
    gets: ENDED,
  },
  {
    name: 'package.searchpath with a long path',

    lua: `while true do package.searchpath('x', ('?;'):rep(100000)) end`,
    gets: ENDED,
  },
  {
    name: 'package.searchpath with a long name',
    lua: `while true do package.searchpath(('x.'):rep(100000), '?;?;?') end`,
    gets: ENDED,
  },
  {
    name: 'httpd.query of parts that are empty',

    lua: `local s = ('&'):rep(1000):rep(20000) while true do httpd.query(s) end`,
    gets: ENDED,
  },
  {
    name: 'httpd.query of one long name',
    lua: `local s = ('%41'):rep(5e6) while true do httpd.query(s) end`,
    gets: ENDED,
  },
  {
    name: 'httpd.crypto.hash for ever',

    lua: `local s = ('x'):rep(4000):rep(4000) while true do httpd.crypto.hash('sha512', s) end`,
    gets: ENDED,
  },
  ...['html', 'url', 'query', 'base64', 'hex', 'base64url'].map(
    (kind): HostileScript => ({
      name: `httpd.encode to ${kind} for ever`,

      lua: `local s = ('<a'):rep(4e6) while true do httpd.encode('${kind}', s) end`,
      gets: ENDED,
    }),
  ),
  ...['url', 'query', 'base64', 'hex', 'base64url'].map(
    (kind): HostileScript => ({
      name: `httpd.decode from ${kind} for ever`,

      lua: `local s = ('4142'):rep(4e6) while true do httpd.decode('${kind}', s) end`,
      gets: ENDED,
    }),
  ),
  {
    name: 'httpd.parsedate of a long text',
    lua: `local s = ('Sun, '):rep(2e6) while true do httpd.parsedate(s) end`,
    gets: ENDED,
  },
  {
    name: 'io.lines with very many formats',
    lua: `while true do pcall(io.lines, '/dev/null', table.unpack(setmetatable({}, {__index = function() return 'l' end}), 1, 250)) end`,
    gets: ENDED,
  },
];
