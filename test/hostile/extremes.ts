/**
 * Lua code that calls a function with what nobody should give it: in the place of each of its usual arguments, one after
 * the other, every extreme value.
 */
import { FOREIGN_WORDS } from '../support/api-fuzz-script.ts';

/**
 * `extremes(name, find, usual, env, header, only)` finds the function and calls it; `usual` makes arguments that it takes. Returns
 * how often it was called. `only` is the number of the one call to make of a function that does not return. What JavaScript or a broken VM says in a message goes to the log as a TypeError.
 */
export const EXTREMES: string = `
local extremes
do
local httpd = require 'httpd'
local type, pcall, rawget, find, setmetatable, tostring = type, pcall, rawget, string.find, setmetatable, tostring
local create, resume, status, close, yield = coroutine.create, coroutine.resume, coroutine.status, coroutine.close, coroutine.yield
local pack, unpack, getmeta, setmeta, remove = table.pack, table.unpack, debug.getmetatable, debug.setmetatable, os.remove
local tmpfile, stdout, stdin, input, output = io.tmpfile, io.stdout, io.stdin, io.input, io.output
local log, spawn, timer, sleep, null, body = httpd.log, httpd.spawn, httpd.timer, httpd.sleep, httpd.json.null, httpd.body
local dictionary = httpd.shared 'hostile'
local foreign = {${FOREIGN_WORDS.map((word) => JSON.stringify(word)).join(', ')}}

local events = {'__index', '__newindex', '__call', '__len', '__tostring', '__pairs', '__eq', '__lt', '__le', '__concat', '__unm', '__add', '__idiv', '__close'}
local huge = ('x1%'):rep(350000)
local function failing()
  local metatable = {__name = 'failing'}
  for _, event in ipairs(events) do metatable[event] = function() error({}) end end
  return setmetatable({}, metatable)
end
local function lying()
  return setmetatable({}, {__len = function() return 2^53 end, __tostring = function() return {} end, __name = 7, __pairs = function() return 1 end,
    __index = function() return 'x' end, __newindex = function() end, __metatable = false, __jsontype = {}})
end
local function deep() local t = {} for _ = 1, 5000 do t = {t} end return t end
local function itself() local t = {} t[1], t.t, t[t] = t, t, t return setmetatable(t, t) end
-- a function that shares no variable with us: debug.setupvalue may change them
local function made(source) return function() return load('local yield, sleep, lying = ... ' .. source)(yield, sleep, lying) end end

local function values(env, header)
  return {
    function() return nil end, function() return huge end, function() return 'a\\0b' end, function() return '' end, function() return false end,
    function() return -1 end, function() return 0/0 end, function() return 1/0 end, function() return -1/0 end, function() return 2^53 end,
    function() return math.maxinteger end, function() return math.mininteger end, function() return 1e308 end,
    failing, lying, deep, itself, function() return env end, function() return header end,
    function() return null end, function() return body end, tmpfile, function() local f = tmpfile() f:close() return f end, function() return stdout end,
    function() return dictionary end, function() return (spawn(tostring, 1)) end, function() return (timer(60, tostring)) end,
    function() return create(yield) end, function() local c = create(error) resume(c) return c end,
    function() return yield end, made 'return function(...) yield(...) sleep(0) end', made 'return function() error({}) end',
    made 'local function f(...) return 1 + f(...) end return f', made 'return function() return lying() end',
  }
end

-- what a call may have changed for everybody
local changed = {0, true, yield, create(yield), null, stdout, dictionary, ''}
local metatables = {}
for i, value in ipairs(changed) do metatables[i] = getmeta(value) or false end
local stringIndex = getmeta('').__index
local fileMetatable, timerName = getmeta(stdout), 'httpd.timer'
local function restore()
  for i, value in ipairs(changed) do setmeta(value, metatables[i] or nil) end
  setmeta(nil, nil)
  getmeta('').__index = stringIndex
  output(stdout)
  input(stdin)
end

-- closes a file and cancels a timer: the gateway has not many of them
local function release(value)
  if type(value) ~= 'userdata' or value == stdout or value == stdin then return end
  local metatable = getmeta(value)
  if metatable == fileMetatable then pcall(stdout.close, value)
  elseif metatable and rawget(metatable, '__name') == timerName then pcall(metatable.__index.cancel, value) end
end

local function check(name, message)
  if type(message) ~= 'string' then return end
  for _, word in ipairs(foreign) do
    if find(message, word, 1, true) then log('error', 'TypeError of JavaScript: ' .. name .. ' says ' .. message:sub(1, 200)) end
  end
end

function extremes(name, find, usual, env, header, only)
  local calls = 0
  local function call(args)
    calls = calls + 1
    if only and calls ~= only then return end
    -- in a coroutine of its own: it may yield, and finds nothing of ours on its stack
    local thread = create(find())
    local own = {}
    for i = 1, args.n do own[i] = type(args[i]) == 'userdata' and getmeta(args[i]) end
    local results = pack(resume(thread, unpack(args, 1, args.n)))
    for _ = 1, 3 do if status(thread) == 'suspended' then results = pack(resume(thread, nil)) end end
    close(thread)
    restore()
    for i = 1, args.n do if own[i] then setmeta(args[i], own[i]) end end
    if not results[1] then check(name, results[2]) elseif results[2] == nil then check(name, results[3]) end
    if name == 'os.tmpname' and type(results[2]) == 'string' then remove(results[2]) end
    for i = 2, results.n do release(results[i]) end
    for i = 1, args.n do release(args[i]) end
  end
  local all = values(env, header)
  local count = pack(usual(env, header)).n
  call({n = 0})
  call(pack(usual(env, header)))
  for _, make in ipairs(all) do
    for place = 1, count do
      local args = pack(usual(env, header))
      release(args[place])
      args[place] = make()
      call(args)
    end
    if count == 0 then call(pack(make(), make(), make())) end
  end
  local many = {n = 200}
  for i = 1, #all do many[i] = all[i]() end
  call(many)
  return calls .. ' calls'
end
end
`;
