/** Scripts whose errors are the attack: objects, lengths, depths, and what says what they are. */
import type { HostileScript } from '../offender.ts';

const ENDED = /^500/;

export const ERRORS: readonly HostileScript[] = [
  { name: 'an error of five megabytes', lua: `error(('x'):rep(5e6))`, gets: ENDED },
  { name: 'an error of five megabytes of control characters', lua: `error(('\\0'):rep(5e6))`, gets: ENDED },
  {
    name: 'an error of twenty megabytes in a task',
    holds: 'one call of string.rep makes a string of twenty million pieces',
    cpu: 3,
    lua: `httpd.spawn(function() error(('x'):rep(2e7)) end) httpd.sleep(0.05)`,
    gets: /^200/,
  },
  {
    name: 'an error in a deep recursion, not caught',

    lua: `local function v(n) return 1 + v(n) end v({})`,
    gets: ENDED,
  },
  {
    name: 'an error beside a large table',

    lua: `local t = {} for i = 1, 3e5 do t[i] = {} end error('beside')`,
    cpu: 5,
    gets: ENDED,
  },
  {
    name: 'recursion without end in pcall',
    lua: `local function f() return 1 + f() end while true do pcall(f) end`,
    gets: ENDED,
  },
  {
    name: 'recursion without end through string.gsub',
    lua: `local function f(s) return (s:gsub('.', f)) end f('x')`,
    gets: ENDED,
  },
  {
    name: 'recursion of pcall itself',
    lua: `local function f() pcall(f) while true do end end f()`,
    gets: ENDED,
  },
  {
    name: 'recursion through metamethods',
    lua: `local t = setmetatable({}, {__index = function(t, k) return t[k .. 'x'] end}) return t.x`,
    gets: ENDED,
  },
  {
    name: 'recursion through tostring',
    lua: `local t = setmetatable({}, {__tostring = function(t) return tostring(t) end}) return tostring(t)`,
    gets: ENDED,
  },
  {
    name: 'recursion through coroutines',
    lua: `local function f() return coroutine.wrap(f)() end return f()`,
    gets: ENDED,
  },
  {
    name: 'recursion through require',
    lua: `package.preload.again = function() package.loaded.again = nil return require('again') end return require('again')`,
    gets: ENDED,
  },
  {
    name: 'recursion through load',
    lua: `local s = 'return ' .. ('('):rep(1000) .. '1' .. (')'):rep(1000) return assert(load(s))`,
    gets: ENDED,
  },
  {
    name: 'a source of very many blocks',
    lua: `assert(load(('do '):rep(1e5) .. ('end '):rep(1e5)))`,
    gets: ENDED,
  },
  { name: 'an error that is a table', lua: `error({})`, gets: ENDED },
  { name: 'an error that is nil', lua: `error(nil)`, gets: ENDED },
  { name: 'an error that is a coroutine', lua: `error(coroutine.create(print))`, gets: ENDED },
  { name: 'an error that is a file', lua: `error(io.tmpfile())`, gets: ENDED },
  {
    name: 'an error with a metatable',
    lua: `error(setmetatable({}, {__tostring = function() return 'told' end}))`,
    gets: ENDED,
  },
  {
    name: 'an error whose tostring fails',
    lua: `error(setmetatable({}, {__tostring = function() error('no') end}))`,
    gets: ENDED,
  },
  {
    name: 'an error whose tostring is no text',
    lua: `error(setmetatable({}, {__tostring = function() return {} end}))`,
    gets: ENDED,
  },
  {
    name: 'an error whose tostring is twenty megabytes',
    holds: 'one call of string.rep makes a string of twenty million pieces',
    lua: `error(setmetatable({}, {__tostring = function() return ('x'):rep(2e7) end}))`,
    gets: ENDED,
  },
  {
    name: 'an error whose tostring yields',
    lua: `error(setmetatable({}, {__tostring = function() coroutine.yield() return 'x' end}))`,
    gets: ENDED,
  },
  {
    name: 'an error whose tostring sleeps',
    lua: `error(setmetatable({}, {__tostring = function() httpd.sleep(1) return 'x' end}))`,
    gets: ENDED,
  },
  { name: 'an error of level two billion', lua: `error('level', 2147483647)`, gets: ENDED },
  {
    name: 'an error with a forged line of the log',
    lua: `error('x\\n2030-01-01 error worker-1 forged')`,
    gets: ENDED,
  },
  {
    name: 'a close that fails again and again',
    lua: `local function f(n) local x <close> = setmetatable({}, {__close = function() error('close') end}) if n > 0 then f(n - 1) end error('body') end f(100)`,
    gets: ENDED,
  },
  {
    name: 'finalisers that all fail',
    lua: `for i = 1, 1000 do setmetatable({}, {__gc = function() error('gc') end}) end collectgarbage()`,
    gets: /^200/,
  },
  {
    name: 'a finaliser that brings its object back',
    lua: `local function back(t) setmetatable(t, getmetatable(t)) kept = t end
     for i = 1, 1000 do setmetatable({}, {__gc = back}) end collectgarbage() collectgarbage()`,
    gets: /^200/,
  },
  {
    name: 'ten thousand errors in tasks',

    lua: `for i = 1, 10000 do if not httpd.spawn(error, 'task') then httpd.sleep(0) end end`,
    gets: /^(?:200|500)/,
  },
];
