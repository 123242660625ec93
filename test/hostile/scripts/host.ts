/** Scripts that reach for the host: files, programs, bytecode, debug, and objects that they disguise as others. */
import type { HostileScript } from '../offender.ts';

const ENDED = /^500/;
const ANY_END = /^(?:200|500)/;

export const HOST: readonly HostileScript[] = [
  {
    name: 'messages without end for thousands of subscriptions',
    brief: true,
    lua: `local subs = {} for i = 1, 4000 do subs[i] = httpd.subscribe('flood', {queue = 1}) end while true do httpd.publish('flood', 'x') end`,
    gets: ENDED,
  },
  {
    name: 'subscriptions to all channels that there may be, and a message for each',
    lua: `local subs, count = {}, 0
      repeat
        local names = {} for i = 1, 64 do names[i] = 'all-' .. count + i end
        subs[#subs + 1] = httpd.subscribe(table.unpack(names)) count = count + 64
      until #subs * 64 < count
      for i = 1, count do httpd.publish('all-' .. i, 'x') end return #subs`,
    gets: ANY_END,
  },
  {
    name: 'files opened until there are no more',
    keeps: 'all files that its mapping may have',
    timeout: 1,

    lua: `kept = {} while true do kept[#kept + 1] = assert(io.open('/dev/null')) end`,
    gets: ENDED,
  },
  { name: 'files opened and forgotten for ever', lua: `while true do io.open('/dev/null') end`, gets: ENDED },
  {
    name: 'the same file closed twice in turns',
    lua: `for i = 1, 1000 do local f = io.tmpfile() f:close() pcall(f.close, f) pcall(f.read, f) pcall(f.seek, f) end`,
    cpu: 3,
    gets: /^200/,
  },
  {
    name: 'a file of ten gigabytes',
    lua: `local f <close> = io.tmpfile() f:seek('set', 1e10) f:write('x') return f:close()`,
    gets: ANY_END,
  },
  {
    name: 'seeks beyond all integers',
    lua: `local f <close> = io.tmpfile() return f:seek('set', math.maxinteger)`,
    gets: ANY_END,
  },
  {
    name: 'names with NUL and without end',
    lua: `for _, n in ipairs{'a\\0b', ('x'):rep(1e6), ('../'):rep(1e5), '', '/proc/self/mem', '/dev/full', '/dev/tty'} do pcall(io.open, n, 'w') pcall(io.open, n) pcall(os.remove, n .. '/nothing') end`,
    gets: ANY_END,
  },
  {
    name: 'programs that go on in the background',

    lua: `local p = io.popen('sleep 777 & echo hi') return p:read('l')`,
    gets: ANY_END,
  },
  {
    name: 'programs until there are no more',
    keeps: 'pipes of all programs that its mapping may start',
    lua: `kept = {} while true do kept[#kept + 1] = assert(io.popen('cat')) end`,
    gets: ENDED,
  },
  {
    name: 'programs one after the other for ever',
    timeout: 2,
    lua: `while true do os.execute('true') end`,
    gets: ENDED,
  },
  {
    name: 'a program that never reads',
    timeout: 1,
    lua: `local p <close> = io.popen('sleep 60', 'w') local s = ('x'):rep(1e6) for i = 1, 100 do p:write(s) end`,
    gets: ENDED,
  },
  {
    name: 'a program waited for below table.sort',

    lua: `table.sort({2, 1}, function(a, b) os.execute('sleep 6') return a < b end)`,
    gets: ENDED,
  },
  {
    name: 'a FIFO opened below table.sort',
    timeout: 1,
    lua: `os.execute('mkfifo $FOLDER/fifo-' .. env.REQUEST_ID) table.sort({2, 1}, function(a, b) io.open('$FOLDER/fifo-' .. env.REQUEST_ID, 'w') return a < b end)`,
    gets: ENDED,
  },
  {
    name: 'damaged bytecode',
    lua: `local good = string.dump(function(a) local t = {a, 'x', 1.5} for k, v in pairs(t) do a = v end return t, a end)
     for i = 1, 10000 do local at = i % #good + 1
       local f = load(good:sub(1, at - 1) .. string.char((i * 7919) % 256) .. good:sub(at + 1), 'bad', 'b')
       if f then pcall(f, i) end end`,
    cpu: 10,
    gets: /^200/,
  },
  { name: 'debug.sethook, which does not exist', lua: `while true do debug.sethook() end`, gets: ENDED },
  { name: 'the registry, which does not exist', lua: `return debug.getregistry()`, gets: ENDED },
  {
    name: 'upvalues and locals of all functions',
    lua: `for name, lib in pairs(package.loaded) do if type(lib) == 'table' then for k, f in pairs(lib) do if type(f) == 'function' then
     for i = 1, 5 do pcall(debug.getupvalue, f, i) pcall(debug.setupvalue, f, i, 1) pcall(debug.upvalueid, f, i) end end end end end
     for level = 0, 20 do for i = -5, 5 do pcall(debug.getlocal, level, i) pcall(debug.setlocal, level, i, 1) end end`,
    gets: ANY_END,
  },
  {
    name: 'the metatable of strings replaced',
    lua: `local m = getmetatable('') local old = m.__index m.__index = function() error('mine') end pcall(httpd.encode, 'html', 'x') pcall(httpd.header, {[':status'] = '200'}) pcall(print, 'x') m.__index = old`,
    gets: /^200/,
  },
  {
    name: 'metatables of all basic types',
    lua: `local bad = {__index = error, __call = error, __tostring = function() return 1 end, __gc = error, __len = error, __eq = error, __name = 1}
     for _, v in ipairs{0, true, print, httpd.json.null} do debug.setmetatable(v, bad) end debug.setmetatable(nil, bad)
     pcall(httpd.write, nil, 'x') pcall(httpd.header, {}) pcall(httpd.log, 'info', nil, true, 0, print) pcall(httpd.json.encode, {httpd.json.null})
     for _, v in ipairs{0, true, print, httpd.json.null} do debug.setmetatable(v, nil) end debug.setmetatable(nil, nil)`,
    gets: /^200/,
  },
  {
    name: 'a file disguised as a dictionary',

    lua: `debug.setmetatable(io.tmpfile(), debug.getmetatable(httpd.shared('x'))):get('k')`,
    gets: ENDED,
  },
  {
    name: 'a dictionary disguised as a file',
    lua: `local d = debug.setmetatable(httpd.shared('x'), debug.getmetatable(io.stdout)) d:read('a')`,
    gets: ENDED,
  },
  {
    name: 'everything disguised as everything',

    lua: `local function make() return {io.tmpfile(), io.stdout, httpd.shared('x'), httpd.spawn(print), httpd.timer(60, print), coroutine.create(print)} end
     for i = 1, 6 do for j = 1, 6 do local a, b = make()[i], make()[j] local m = debug.getmetatable(b)
       if type(a) == 'userdata' and m then debug.setmetatable(a, m)
         for _, f in pairs(type(m.__index) == 'table' and m.__index or m) do if type(f) == 'function' then pcall(f, a) pcall(f, a, 1) pcall(f, a, 'a', 'a') pcall(f) end end
         for _, f in pairs(httpd) do if type(f) == 'function' and f ~= httpd.exit and f ~= httpd.close and f ~= httpd.write and f ~= httpd.kill then pcall(f, a) pcall(f, a, 1) end end
       end if type(b) == 'userdata' and tostring(b):find('timer') then pcall(b.cancel, b) end end end`,
    cpu: 3,
    gets: ANY_END,
  },
  {
    name: 'a finaliser of files called by hand',
    lua: `local f = io.tmpfile() local m = debug.getmetatable(f) for i = 1, 10 do pcall(m.__gc, f) pcall(m.__close, f) end pcall(m.__gc, io.stdout) pcall(m.__gc, {}) print('still here')`,
    gets: /^200/,
  },
  {
    name: 'standard files closed',
    lua: `pcall(io.close) pcall(io.stdout.close, io.stdout) pcall(io.stderr.close, io.stderr) pcall(io.stdin.close, io.stdin) pcall(print, 'x') pcall(io.write, 'x') pcall(io.read)`,
    gets: /^200/,
  },
  {
    name: 'the light values of the gateway as keys',
    lua: `env[httpd.json.null] = 'x' env[httpd.body] = 'y' local id = env.REQUEST_ID for k in pairs(env) do end assert(env.REQUEST_ID == id and #id > 3) local t = setmetatable({}, {[httpd.body] = function() called = true end}) next(t) assert(not called)`,
    gets: /^200/,
  },
  { name: 'os.exit', lua: `os.exit(1)`, gets: ENDED },
  {
    name: 'all globals set to nil',

    lua: `local G, keep = _G, {} for k, v in pairs(G) do keep[k] = v end for k in pairs(keep) do G[k] = nil end httpd.write(nil, '') for k, v in keep.pairs(keep) do G[k] = v end`,
    gets: /^200/,
  },
  {
    name: 'the module httpd replaced by others',
    lua: `local old = {} for k, v in pairs(httpd) do old[k] = v end for k in pairs(old) do httpd[k] = error end for k, v in pairs(old) do httpd[k] = v end package.loaded.httpd = nil local again = pcall(require, 'httpd') package.loaded.httpd = httpd`,
    gets: /^200/,
  },
  { name: 'a locale that does not exist', lua: `return os.setlocale(('x'):rep(1e6))`, gets: ENDED },
  {
    name: 'dates beyond the calendar',
    lua: `for _, t in ipairs{math.maxinteger, math.mininteger, 2^60, -2^60, 0/0, 1/0} do pcall(os.date, '%c', t) pcall(os.date, '*t', t) pcall(httpd.date, t) pcall(os.time, {year = t, month = t, day = t}) end`,
    gets: /^200/,
  },
];

export const SANDBOX: readonly HostileScript[] = [
  ...[
    'io.open("/etc/passwd")',
    'os.execute("true")',
    'io.popen("true")',
    'os.remove("x")',
    'os.getenv("PATH")',
    'package.loadlib("x", "y")',
    'load("return 1")()',
    'loadfile("x")',
    'dofile("x")',
    'debug.getinfo(1)',
    'require("io")',
    'collectgarbage("count") + os.exit()',
  ].map(
    (what): HostileScript => ({
      name: `in the sandbox: ${what}`,
      program: 'sandbox',
      lua: `return ${what}`,
      gets: ENDED,
    }),
  ),
  {
    name: 'in the sandbox: a certificate read from a file',

    program: 'sandbox',
    lua: `local r, message, code = httpd.fetch('https://127.0.0.1:1/', {tls = {cert = '$FOLDER/cert.pem', key = '$FOLDER/key.pem'}}) return code`,
    gets: /^(?:500|200 survived (?:invalid|denied))/,
  },
  {
    name: 'in the sandbox: a file sent',
    program: 'sandbox',
    lua: `return httpd.sendfile('/etc/passwd')`,
    gets: ENDED,
  },
  {
    name: 'in the sandbox: string.dump and back',
    program: 'sandbox',
    lua: `return string.dump(function() end)`,
    gets: ANY_END,
  },
  {
    name: 'in the sandbox: what was removed, by another way',
    program: 'sandbox',
    lua: `local found for _, where in ipairs{_G, getmetatable('').__index, httpd} do for k, v in pairs(where) do if k == 'open' or k == 'popen' or k == 'execute' or k == 'loadfile' then found = k end end end assert(not found, found) return 'nothing'`,
    gets: /^200 survived nothing/,
  },
  {
    name: 'in the sandbox: a loop without end',
    program: 'sandbox',
    lua: `while true do end`,
    gets: ENDED,
  },
];
