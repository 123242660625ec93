/** Scripts that misuse the request they answer: heads, pushes, bodies, tasks, fetches, logs. */
import type { HostileScript } from '../offender.ts';

const ENDED = /^500/;
const ANY_END = /^(?:200|500)/;
const BAD_FIELDS = [
  `['x-a'] = 'a\\r\\nset-cookie: b'`,
  `['x-a'] = 'a\\nb'`,
  `['x-a'] = 'a\\0b'`,
  `['x-a'] = {'fine', 'a\\rb'}`,
  `['x-a\\r\\nx'] = 'a'`,
  `[''] = 'a'`,
  `['x-a:'] = 'a'`,
  `['x a'] = 'a'`,
  `['x-a'] = true`,
  `['x-a'] = {{}}`,
  `[':path'] = '/a b'`,
  `['transfer-encoding'] = 'chunked'`,
  `['content-length'] = '1e3'`,
  `['content-length'] = '-1'`,
  `['content-length'] = {1, 2}`,
  `['connection'] = 'upgrade'`,
];

export const REQUESTS: readonly HostileScript[] = [
  ...BAD_FIELDS.map(
    (field, i): HostileScript => ({
      name: `a head with ${field}`,
      brief: i < 2,
      lua: `httpd.header{[':status'] = '200', ${field}}`,
      gets: ANY_END,
    }),
  ),
  {
    name: 'a head of a million fields',

    lua: `local t = {[':status'] = '200'} for i = 1, 1e6 do t['x-' .. i] = 'v' end httpd.header(t)`,
    cpu: 3,
    gets: ENDED,
  },
  {
    name: 'a field of thirty megabytes',
    holds: 'one call of string.rep makes a string of thirty million pieces',
    lua: `httpd.header{[':status'] = '200', ['x-a'] = ('v'):rep(3e7)}`,
    gets: ENDED,
  },
  {
    name: 'a head that contains itself',
    lua: `local t = {[':status'] = '200'} t.t = t httpd.header(t)`,
    gets: ANY_END,
  },
  {
    name: 'ten thousand informational heads',

    lua: `for i = 1, 10000 do httpd.header{[':status'] = '103', link = '</x>; rel=preload'} end`,
    gets: ANY_END,
  },
  {
    name: 'a thousand push promises',

    lua: `for i = 1, 1000 do httpd.header{[':path'] = '/honest/hello?' .. i} end`,
    gets: ANY_END,
  },
  {
    name: 'push promises for ever',
    lua: `while true do httpd.header{[':path'] = '/honest/hello?x'} end`,
    gets: ENDED,
  },
  {
    name: 'trailers of a million fields',
    lua: `local t = {} for i = 1, 1e6 do t['x-' .. i] = 'v' end httpd.trailer(t)`,
    cpu: 3,
    gets: ANY_END,
  },
  {
    name: 'a response of a gigabyte to nobody',

    lua: `httpd.close(nil) local s = ('x'):rep(1e6) for i = 1, 1000 do httpd.write(nil, s) end`,
    gets: ANY_END,
  },
  { name: 'single bytes written for ever', lua: `while true do httpd.write(nil, 'x') end`, gets: /^200 cut/ },
  {
    name: 'twenty thousand names registered by each request',

    lua: `for i = 1, 20000 do httpd.register_handler('/n' .. i .. ('x'):rep(900) .. math.random(1e9), print) end`,
    times: 4,
    gets: ANY_END,
  },
  {
    name: 'ten thousand tasks at once',
    lua: `local n = 0 for i = 1, 10000 do if httpd.spawn(httpd.sleep, 1) then n = n + 1 end end httpd.exit(200, 'spawned ' .. n)`,
    gets: /^200 spawned \d{1,3}$/,
  },
  {
    name: 'ten thousand timers',
    lua: `local n, all = 0, {} for i = 1, 10000 do local t = httpd.timer(60, print) if t then n = n + 1 all[n] = t end end for _, t in ipairs(all) do t:cancel() end return n`,
    gets: /^200 survived (?:\d{1,3}|1000)$/,
  },
  {
    name: 'timers that start timers',
    lua: `local function again() httpd.timer(0, again) end again() httpd.sleep(0.3) function again() end`,
    gets: /^200/,
  },
  {
    name: 'tasks that kill each other',
    lua: `local a, b a = httpd.spawn(function() httpd.kill(b) end) b = httpd.spawn(function() httpd.kill(a) end) httpd.sleep(0.05)`,
    gets: /^200/,
  },
  {
    name: 'a task that waits for itself',
    lua: `local t t = httpd.spawn(function() httpd.wait(t) end) httpd.wait(t)`,
    gets: /^200/,
  },
  {
    name: 'tasks that wait for each other',
    timeout: 1,
    lua: `local a, b a = httpd.spawn(function() httpd.wait(b) end) b = httpd.spawn(function() httpd.wait(a) end) httpd.wait(a, b)`,
    gets: ANY_END,
  },
  {
    name: 'a fetch of itself for ever',

    lua: `while true do local r, message = httpd.fetch('https://127.0.0.1:' .. env.SERVER_PORT .. env.PATH_INFO, {tls = {verify = false}}) if not r then error(message) end end`,
    gets: ENDED,
  },
  {
    name: 'sixty fetches to a port where nobody is',
    timeout: 1,
    lua: `for i = 1, 60 do httpd.spawn(function() httpd.fetch('http://127.0.0.1:1/') end) end`,
    gets: /^200/,
  },
  {
    name: 'fetches with bad URLs',
    lua: `for _, url in ipairs{'', 'x', 'http://', 'file:///etc/passwd', 'http://[::1', 'http://a b/', 'gopher://x', 'http://127.0.0.1:99999/', ('x'):rep(1e6), 'http://' .. ('a'):rep(1e6)} do local r, message = httpd.fetch(url) assert(not r) end`,
    gets: ANY_END,
  },
  {
    name: 'connections to itself that say nothing, for ever',
    lua: `while true do local s, message = httpd.connect('127.0.0.1', tonumber(env.SERVER_PORT), {timeout = 5}) if not s then error(message) end kept = s end`,
    gets: ENDED,
  },
  {
    name: 'a connection to itself that gets what it sends back, and sends more',
    timeout: 1,
    lua: `local s = assert(httpd.connect('127.0.0.1', tonumber(env.SERVER_PORT), {timeout = 5}))
      httpd.spawn(function() httpd.copy(io.tmpfile(), s) end)
      while s:write(('x'):rep(65536)) do end`,
    gets: ANY_END,
  },
  {
    name: 'connections with bad places and options',
    lua: `for _, host in ipairs{'', '\\0', 'a b', '[', '[::', 'unix:', 'unix:x', 'unix:/\\0x', ('x'):rep(1e6), '127.0.0.1%x'} do local s = httpd.connect(host, 1) assert(not s) end`,
    gets: ANY_END,
  },
  {
    name: 'lines of 64 KB in the log for ever',

    lua: `local s = ('x'):rep(65536) while true do httpd.log('info', s) end`,
    gets: ENDED,
  },
  { name: 'print for ever', lua: `while true do print('x') end`, gets: ENDED },
  {
    name: 'io.write without a line end for ever',
    lua: `local s = ('x'):rep(1e5) while true do io.write(s) end`,
    gets: ENDED,
  },
  { name: 'warnings for ever', lua: `warn('@on') while true do warn('w') end`, gets: ENDED },
  {
    name: 'a log of values whose tostring fails',
    lua: `for i = 1, 1000 do pcall(httpd.log, 'info', setmetatable({}, {__tostring = error})) end`,
    gets: /^200/,
  },
  {
    name: 'JSON of a thousand and one levels',
    lua: `local s = ('['):rep(1e6) local v, message, code = httpd.json.decode(s) return code`,
    gets: /^200 survived (?:limit|invalid)/,
  },
  {
    name: 'JSON of a million empty objects for ever',
    brief: true,
    lua: `local s = '[' .. ('{},'):rep(1e5) .. '{}]' while true do httpd.json.decode(s) end`,
    gets: ENDED,
  },
  {
    name: 'JSON of a number of ten million digits',
    lua: `local s = ('1'):rep(1e7) for i = 1, 1e9 do httpd.json.decode(s) end`,
    gets: ENDED,
  },
  {
    name: 'JSON of a text of escapes',
    lua: `local s = '"' .. ('\\\\u0041'):rep(2e6) .. '"' while true do httpd.json.decode(s) end`,
    gets: ENDED,
  },
  {
    name: 'JSON of a table that contains itself',
    lua: `local t = {} t.t = t return httpd.json.encode(t)`,
    gets: ENDED,
  },
  {
    name: 'JSON of a table that grows while it is written',
    lua: `local t = {} for i = 1, 1e5 do t[i] = i end httpd.spawn(function() for i = 1e5, 3e5 do t[i] = i end end) return #httpd.json.encode(t)`,
    cpu: 3,
    gets: ANY_END,
  },
  {
    name: 'JSON of a list with a hole of a billion',
    lua: `return #httpd.json.encode(httpd.json.array({[1000000000] = 1}))`,
    gets: ANY_END,
  },
  {
    name: 'a shared dictionary filled for ever',
    brief: true,
    lua: `local d = httpd.shared('flood') local s = ('x'):rep(65536) local i = 0 while true do i = i + 1 d:set('k' .. i, s) end`,
    gets: ENDED,
  },
  {
    name: 'a shared dictionary flushed and listed for ever',
    lua: `local d = httpd.shared('flood') for i = 1, 2e4 do d:set('k' .. i, i) end while true do d:keys(65536) end`,
    gets: ENDED,
  },
  {
    name: 'names of shared dictionaries without end',
    lua: `local n = 0 for i = 1, 100 do if httpd.shared('name-' .. i) then n = n + 1 end end return n`,
    gets: /^200 survived 1?\d$/,
  },
  {
    name: 'an exit in an exit',
    lua: `local x <close> = setmetatable({}, {__close = function() httpd.exit(204) end}) httpd.exit(200, 'first')`,
    gets: ANY_END,
  },
  { name: 'an exit of a table that cannot be written', lua: `httpd.exit(200, {print})`, gets: ENDED },
  {
    name: 'calls of the request after its end',
    lua: `httpd.close(nil) for i = 1, 1000 do pcall(httpd.header, {[':status'] = '200'}) pcall(httpd.write, nil, 'x') pcall(httpd.read, nil) pcall(httpd.trailer, {}) end`,
    gets: ANY_END,
  },
  {
    name: 'env and header filled with garbage',
    lua: `for i = 1, 1e5 do env[i] = i header[i] = i end for k in pairs(env) do env[k] = nil end`,
    gets: /^200/,
  },
  {
    name: 'a cookie of a whole head',
    lua: `httpd.header{[':status'] = '200', ['set-cookie'] = table.pack(('x'):rep(1000):byte(1, -1))}`,
    gets: ANY_END,
  },
];
