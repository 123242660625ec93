/**
 * The script of the API fuzzer. Each request calls random functions of its state with random arguments. The number in the query
 * is the seed of both. The script writes its findings into a shared dictionary, which outlives the state.
 */

/** Texts that only JavaScript or a broken VM can produce; each is valid as a Lua pattern and as a regular expression. */
export const FOREIGN_WORDS: readonly string[] = [
  'TypeError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'AssertionError',
  'is not a function',
  'is not iterable',
  'is not defined',
  'undefined',
  'Cannot read prop',
  'Cannot convert',
  'Cannot mix',
  'Maximum call stack',
  'Invalid array length',
  'Invalid string length',
  'ERR_',
  '[object ',
  '.js:',
  '/dist/',
  'memory access out of bounds',
  'unreachable',
  'null function',
  'table index is out of bounds',
];

/** Names of the shared dictionary and its entries. */
export const REPORT: Readonly<Record<'dictionary' | 'step' | 'found' | 'count', string>> = {
  dictionary: 'fuzz-report',
  step: 'step',
  found: 'found',
  count: 'count',
};

const ARGUMENTS = `
local numbers = {0, 1, -1, 2, 3, 7, 255, 256, 1000, 65536, 2147483647, 2147483648, -2147483648, 4294967296, 9007199254740993,
  math.maxinteger, math.mininteger, 0.5, -0.5, -0.0, 1e15, 1e308, -1e308, 1/0, -1/0, 0/0, 2^53, 2^63}
local words = {'', 'a', 'l', 'L', 'n', '*a', '*l', 'r', 'w', 'rb', 'r+', 'a+', 'set', 'cur', 'end', 'no', 'full', 'line', 'k', 'v', 'kv',
  'collect', 'count', 'step', 'isrunning', 'incremental', 'generational', 'html', 'url', 'query', 'base64', 'base64url', 'hex',
  'sha256', 'md5', 'error', 'info', 'debug', 'GET', 'POST', '/hello', 'name', 'file', 'x.lua', '../x', '/etc/passwd', '?.lua;?',
  '%d', '%s%q', '%99.99f', '(.-)%1', '%b()', '%f[%w]', '[', '%', '!*t', '*t', '%c', '%Z', 'C', 'de_DE', '<i4', '!16z', 's1', 'j',
  '{"a":[1,2,{"b":null}]}', '[[[[', '"\\\\ud800"', 'a=1&b=%41&c', '%', '%zz', '&&&&', 'Sun, 06 Nov 1994 08:49:37 GMT',
  '\\0', 'a\\0b', '\\r\\n', '\\255\\254', '\\27LuaS', 'return 1', 'x = = 1', 'http://127.0.0.1:1/', 'https://[::1', 'file:///x', 'cat', 'true',
  'f', 'S', 'nSltufrL', '>', 'p', '__index', '__gc', ':status', ':path', '200', '1e3', '0x10', 'nan', 'inf', 'hello', 'again'}
-- made anew for each use, so that no function keeps a value that the fuzzer itself uses
local sources = {
  'return function(...) return ... end', 'return function() end', 'return function() return nil, 1, "x" end',
  'return function() error("callback") end', 'return function() error({}) end', 'return function() error(nil) end',
  'return function(...) return coroutine.yield(...) end', 'local function f(...) return 1 + f(...) end return f',
  'return function(a, b) return a end', 'return function() return "x" end', 'return function() return true end',
  'local n = 0 return function() n = n + 1 if n < 5 then return "x" .. n end end',
  'local httpd = require "httpd" return function() httpd.sleep(0) end', 'local httpd = require "httpd" return function() httpd.write(nil, "x") end',
  'return function() collectgarbage() return 1 end', 'return coroutine.wrap(function(...) while true do coroutine.yield(...) end end)',
}
local function callback() return load(pick(sources))() end

-- the manual says that finalisers that run long may cost the state
local finalisers = {'return function() end', 'return function() error("gc") end', 'return function(o) kept = o end'}
local metas = {
  function() return {__index = callback()} end, function() return {__len = function() return pick(numbers) end} end,
  function() return {__len = function() return 'x' end} end, function() return {__tostring = function() return {} end} end,
  function() return {__tostring = callback()} end, function() return {__name = 1} end, function() return {__name = 'FILE*'} end,
  function() return {__call = callback()} end, function() return {__close = callback()} end, function() return {__gc = load(pick(finalisers))()} end,
  function() return {__pairs = callback()} end, function() return {__metatable = false} end, function() return {__mode = 'kv'} end,
  function() return {__eq = callback(), __lt = callback(), __le = callback(), __concat = callback()} end,
  function() return {__jsontype = 'array'} end, function() return {__newindex = callback()} end, function() return {__index = {}} end,
}
local keys = {'cpu', 'timeout', 'every', 'once', 'method', 'headers', 'body', 'tls', 'verify', 'cert', 'key', 'redirects', 'sorted', 'pretty', 'keepalive',
  ':status', ':path', ':method', ':authority', 'x-a', 'status', 'content-length', 'year', 'month', 'day', 'hour', 'n', 'root', 'type', 1, 2, 3,
  'protocols', 'origins', 'deflate', 'max', 'ping', 'queue', 'retry', 'heartbeat', 'id', 'event', 'data', 'health', 'interval', 'status', 'fall', 'rise',
  'balance', 'hash', 'weight', 'url', 'retries', 'timeouts', 'connect', 'head', 'idle', 'total', 'forwarded', 'trusted', 'path', 'host', 'servername', 'ca',
  'parts', 'field', 'size', 'level', 'min', 'follow', 'alg', 'iss', 'aud', 'leeway', 'exp', 'nbf', 'sub', 'p', 'r', 'length', 'domain', 'secure', 'httponly',
  'samesite', 'expires', 'maxage', 'methods', 'params'}
local value
local function tableOf(depth)
  local t = {}
  for _ = 1, random(4) do t[random(2) == 0 and pick(keys) or random(5) + 1] = value(depth + 1) end
  local way = random(10)
  if way == 0 then t.self = t t[1] = t end
  if way == 1 then for i = 1, 200 do t = {t} end end
  if way == 2 then for i = 1, 300 do t[i] = i end end
  if way > 6 then setmetatable(t, pick(metas)()) end
  return t
end

-- objects of the gateway; some are already closed, ended or used up
local objects = {
  function() return tmpfile() end,
  function() local f = tmpfile() close(f) return f end,
  function() return stdout end,
  function() return open('file', 'w') end,
  function() return open('file') end,
  function() return popen('cat', random(2) == 0 and 'r' or 'w') end,
  function() return (shared('fuzz')) end,
  function() return spawn(callback()) end,
  function() local t = spawn(callback()) if t then kill(t) end return t end,
  function() return timer(random(2) * 60, callback()) end,
  function() local t = timer(60, callback()) if t then cancel(t) end return t end,
  function() return null end, function() return body end,
  function() return create(callback()) end,
  function() local co = create(callback()) resume(co) return co end,
  function() local co = create(callback()) resume(co) finish(co) return co end,
  function() return env end, function() return header end,
}
-- a table that claims to be an object of another kind
local function disguised()
  local a, b = pick(objects)(), pick(objects)()
  if type(a) == 'userdata' and type(b) == 'userdata' and a ~= stdout and a ~= null and a ~= body then setmeta(a, getmeta(b)) end
  return a
end

function value(depth)
  local way = random(depth > 2 and 12 or 20)
  if way < 3 then return pick(numbers) end
  if way < 7 then return pick(words) end
  if way == 7 then return random(1000) end
  if way == 8 then return random(2) == 0 end
  if way == 9 then return nil end
  if way == 10 then return rep(pick(words), random(3) == 0 and 100000 or random(300)) end
  if way == 11 then return (pick(functions)) end
  if way < 14 then return callback() end
  if way < 16 then return tableOf(depth) end
  if way == 16 then return disguised() end
  if way == 17 and #pool > 0 then return pick(pool) end
  return pick(objects)()
end
`;

/** Argument kinds that get past the first checks of a function: w word, n number, f function, t table, o object. */
export const SHAPES: Readonly<Record<string, string>> = {
  'httpd.encode': 'ww',
  'httpd.decode': 'ww',
  'httpd.query': 'w',
  'httpd.json.encode': 'tt',
  'httpd.json.decode': 'w',
  'httpd.crypto.hash': 'ww',
  'httpd.crypto.hmac': 'www',
  'httpd.crypto.random': 'n',
  'httpd.crypto.equal': 'ww',
  'httpd.crypto.kdf': 'wwt',
  'httpd.crypto.seal': 'www',
  'httpd.crypto.open': 'www',
  'httpd.crypto.sign': 'wwt',
  'httpd.crypto.verify': 'wwwt',
  'httpd.jwt.sign': 'twt',
  'httpd.jwt.verify': 'wwt',
  'httpd.cookies': 'w',
  'httpd.cookie': 'wwt',
  'httpd.accepts': 'tw',
  'httpd.header': 't',
  'httpd.form': 't',
  'httpd.multipart': 't',
  'httpd.trailer': 't',
  'httpd.read': 'on',
  'httpd.write': 'ow',
  'httpd.copy': 'oon',
  'httpd.close': 'o',
  'httpd.spawn': 'fww',
  'httpd.wait': 'oo',
  'httpd.kill': 'o',
  'httpd.timer': 'nft',
  'httpd.fetch': 'wt',
  'httpd.proxy': 'wt',
  'httpd.connect': 'wnt',
  'httpd.log': 'wtof',
  'httpd.sleep': 'n',
  'httpd.date': 'n',
  'httpd.sendfile': 'wt',
  'httpd.register_handler': 'wft',
  'httpd.hook': 'wf',
  'httpd.redirect': 'wnt',
  'httpd.sse': 't',
  'httpd.websocket': 't',
  'httpd.publish': 'ww',
  'httpd.subscribe': 'wwt',
  'httpd.json.array': 't',
  'httpd.compress': 't',
  'httpd.exit': 'nwt',
  'httpd.parsedate': 'w',
  'httpd.cache.__call': 'twtf',
  'httpd.cache.purge': 't',
  'httpd.files.mkdir': 'w',
  'httpd.files.remove': 'w',
  'httpd.files.stat': 'wt',
  'httpd.files.touch': 'wnn',
  'httpd.files.list': 'w',
  'httpd.shared': 'w',
  'table.sort': 'tf',
  'table.concat': 'twnn',
  'string.gsub': 'wwf',
  'string.format': 'wnwo',
  'string.pack': 'wnnw',
  'string.unpack': 'wwn',
  load: 'fwwt',
  xpcall: 'ffw',
  pcall: 'fww',
  'debug.setmetatable': 'ot',
  'debug.setuservalue': 'otn',
  'io.lines': 'www',
  'coroutine.resume': 'oww',
  'coroutine.close': 'o',
  'coroutine.wrap': 'f',
  'os.date': 'wn',
  'os.time': 't',
  'io.open': 'ww',
};

const CALLS = `
local shapes = {${Object.entries(SHAPES)
  .map(([name, kinds]) => `['${name}'] = '${kinds}'`)
  .join(', ')}}
local function shaped(kind)
  if random(6) == 0 then return value(0) end
  if kind == 'w' then return pick(words) end
  if kind == 'n' then return pick(numbers) end
  if kind == 'f' then return callback() end
  if kind == 't' then return tableOf(0) end
  return random(3) == 0 and disguised() or pick(objects)()
end
-- one call of these takes as long as its numbers are large; the manual says that only giving up the state ends such a call
local long = {['string.rep'] = true, ['table.move'] = true, ['table.concat'] = true, ['table.insert'] = true, ['table.remove'] = true,
  ['table.unpack'] = true, ['string.byte'] = true, ['utf8.codepoint'] = true, ['utf8.offset'] = true, ['table.sort'] = true}
`;

/** Returns the script; `words` in it are the texts that no message may contain. */
export function apiFuzzScript(): string {
  const foreign = FOREIGN_WORDS.map((word) => JSON.stringify(word)).join(', ');
  return `
local httpd = require 'httpd'
-- local copies, because the fuzzed calls may change the libraries
local type, load, setmetatable, tostring, find, format, rep, sub, pack, unpack = type, load, setmetatable, tostring, string.find, string.format,
  string.rep, string.sub, table.pack, table.unpack
local sort, mathtype, collect, setmeta, getmeta, pcall, next, rawget = table.sort, math.type, collectgarbage, debug.setmetatable, debug.getmetatable, pcall, next, rawget
local create, resume, status, finish, running = coroutine.create, coroutine.resume, coroutine.status, coroutine.close, coroutine.running
local tmpfile, stdout, open, popen, close = io.tmpfile, io.stdout, io.open, io.popen, io.stdout.close
local shared, spawn, kill, timer, null, body = httpd.shared, httpd.spawn, httpd.kill, httpd.timer, httpd.json.null, httpd.body
local report = shared('${REPORT.dictionary}')
local set, get, incr = report.set, report.get, report.incr
local cancel
local env, header
local stringMeta = getmeta('')
local functions, names, pool = {}, {}, {}
local state = 0
local function random(n)
  state = state * 6364136223846793005 + 1442695040888963407
  return (state >> 33) % n
end
local function pick(list) return list[random(#list) + 1] end
local function quiet(...) return ... end
${ARGUMENTS}
${CALLS}
-- collects all functions that the libraries, the module and the metatables of objects lead to
local function enumerate()
  local seen = {}
  local function visit(name, what)
    if (type(what) ~= 'function' and type(what) ~= 'table') or seen[what] then return end
    seen[what] = true
    if type(what) == 'function' then
      functions[#functions + 1] = what
      names[what] = name
      return
    end
    local list = {}
    for k, v in next, what do if type(k) == 'string' then list[#list + 1] = k end end
    sort(list)
    for _, k in ipairs(list) do visit(name == '' and k or name .. '.' .. k, rawget(what, k)) end
  end
  local libraries = {}
  for name in next, package.loaded do if name ~= '_G' then libraries[#libraries + 1] = name end end
  sort(libraries)
  seen[package.loaded] = true
  for _, name in ipairs(libraries) do visit(name, package.loaded[name]) end
  visit('', package.loaded._G)
  local t = timer(60, function() end)
  for name, object in next, {['(file)'] = tmpfile(), ['(shared)'] = shared('fuzz'), ['(task)'] = spawn(function() end), ['(timer)'] = t} do
    visit(name, getmeta(object))
  end
  cancel = getmeta(t).__index.cancel
  cancel(t)
  sort(functions, function(a, b) return names[a] < names[b] end)
end

local foreign = {${foreign}}
local function check(step, message)
  if type(message) ~= 'string' then return end
  for i = 1, #foreign do
    if find(message, foreign[i], 1, true) then
      set(report, '${REPORT.found}' .. incr(report, '${REPORT.count}', 1, 0), step .. ' says ' .. sub(message, 1, 300))
      return
    end
  end
end

local function describe(v)
  local t = type(v)
  if t == 'string' then return #v > 30 and format('<%d bytes of %q>', #v, sub(v, 1, 8)) or format('%q', v) end
  if t == 'number' then return format(mathtype(v) == 'integer' and '%d' or '%.17g', v) end
  if t == 'nil' or t == 'boolean' then return v == nil and 'nil' or v and 'true' or 'false' end
  if t == 'function' then return names[v] or '<callback>' end
  return '<' .. t .. '>'
end

local function step(where)
  local fn = pick(functions)
  local name = names[fn]
  local args, n = {}, random(5)
  local shape = shapes[name]
  if shape and random(4) > 0 then
    n = #shape
    for i = 1, n do args[i] = shaped(sub(shape, i, i)) end
  else
    for i = 1, n do args[i] = value(0) end
    if find(name, '^%(') and random(4) > 0 then args[1] = random(3) == 0 and disguised() or pick(objects)() end
  end
  if long[name] then for i = 1, n do
    if type(args[i]) == 'number' and (args[i] > 10000 or args[i] < -10000) then args[i] = random(10000) end
    if type(args[i]) == 'table' then setmetatable(args[i], nil) end
  end end
  local text = where .. ' ' .. name .. '('
  for i = 1, n do text = text .. (i > 1 and ', ' or '') .. describe(args[i]) end
  text = text .. ')'
  set(report, '${REPORT.step}', text)
  -- in its own coroutine, so that functions that read stack levels do not reach the fuzzer's
  local co = create(fn)
  local results = pack(resume(co, unpack(args, 1, n)))
  for i = 1, 3 do
    if status(co) ~= 'suspended' then break end
    results = pack(resume(co, value(0)))
  end
  if status(co) == 'suspended' then finish(co) end
  if not results[1] then check(text, results[2]) elseif results[2] == nil then check(text, results[3]) end
  local me = running()
  for i = 2, results.n do
    if results[i] ~= nil and results[i] ~= me and #pool < 40 then pool[#pool + 1] = results[i] end
  end
end

local basic = {true, 0, print, create(print), null}
local function reset()
  setmeta(nil, nil)
  for i = 1, #basic do setmeta(basic[i], nil) end
  setmeta('', stringMeta)
  collect('restart')
  collect('incremental', 200, 100)
  pool = {}
end

httpd.register_handler('/fuzz', function(e, h)
  reset()
  if #functions == 0 then enumerate() end
  env, header = e, h
  state = e.QUERY_INFO * 7919
  local where = e.QUERY_INFO
  for i = 1, random(10) + 3 do step(where .. '.' .. i) end
  reset()
end)
httpd.register_handler('/hello', function() httpd.write(nil, 'hello') end)
httpd.register_handler('/count', function() enumerate() httpd.write(nil, #functions .. '') end)
`;
}
