/** Limits that scripts meet, each one below, at and one above: below and at it holds nobody up, above an error says which it was. */
import type { HostileScript } from '../offender.ts';

interface Limit {
  readonly name: string;
  readonly at: number;
  /** Lua with `$N`; returns what is true where it is allowed, else `nil, message, code`. */
  readonly lua: string;
  /** What is said above it: a code or `error`, and the message. */
  readonly above: RegExp;
  readonly holds?: string;
}

const KIBIBYTE = 1024;
const MEBIBYTE: number = 1024 * 1024;

const COPIES = 'one call makes a string of 16 MiB';

const LIMITS: readonly Limit[] = [
  {
    name: 'bytes of a handler name',
    at: 1024,
    lua: `local _, message, code = httpd.register_handler('/' .. ('x'):rep($N - 1), print) return not code, message, code`,
    above: /^limit .*1024/,
  },
  {
    name: 'bytes of the key of an HMAC',
    at: 128 * KIBIBYTE,
    lua: `return httpd.crypto.hmac('sha256', ('k'):rep($N), 'x')`,
    above: /^error .*131072/,
  },
  {
    name: 'random bytes',
    at: 64 * KIBIBYTE,
    lua: `return httpd.crypto.random($N)`,
    above: /^error .*65536/,
  },
  {
    name: 'bytes of a password',
    at: 4 * KIBIBYTE,
    lua: `return httpd.crypto.kdf(('p'):rep($N), 'salt', {n = 16, p = 1})`,
    above: /^limit .*4096/,
  },
  {
    name: 'iterations of PBKDF2',
    at: 2_000_000,
    lua: `return httpd.crypto.kdf('p', 'salt', {kind = 'pbkdf2', iterations = $N})`,
    above: /^error .*2000000/,
  },
  {
    name: 'bytes that are sealed',
    at: MEBIBYTE,
    lua: `return httpd.crypto.seal(('k'):rep(32), ('x'):rep($N))`,
    above: /^limit .*1048576/,
  },
  {
    name: 'bytes of a secret for tokens',
    at: KIBIBYTE,
    lua: `return httpd.jwt.sign({}, ('k'):rep($N), {alg = 'HS256'})`,
    above: /^error .*1024/,
  },
  {
    name: 'bytes of a cookie',
    at: 4096,
    lua: `return httpd.cookie('name', ('x'):rep($N - 4))`,
    above: /^error .*4096/,
  },
  {
    name: 'cookies of a request',
    at: 500,
    lua: `local list = {} for i = 1, $N do list[i] = 'c' .. i .. '=1' end return httpd.cookies(table.concat(list, '; '))`,
    above: /^limit .*500/,
  },
  {
    name: 'bytes of the name of a channel',
    at: 255,
    lua: `return httpd.publish(('c'):rep($N), 'x')`,
    above: /^limit .*255/,
  },
  {
    name: 'bytes of a message',
    at: 256 * KIBIBYTE,
    lua: `return httpd.publish('limits', ('x'):rep($N))`,
    above: /^limit .*262144/,
  },
  {
    name: 'channels of a subscription',
    at: 64,
    lua: `local names = {} for i = 1, $N do names[i] = 'limits-' .. i end local sub, message, code = httpd.subscribe(table.unpack(names))
      if sub then sub:close() end return sub, message, code`,
    above: /^limit .*64/,
  },
  {
    name: 'messages of a queue',
    at: 16_384,
    lua: `return httpd.subscribe('limits', {queue = $N}):close()`,
    above: /^error .*16384/,
  },
  {
    name: 'tasks of a request',
    at: 256,
    lua: `local task, message, code for i = 1, $N do task, message, code = httpd.spawn(httpd.sleep, 0.2) end return task, message, code`,
    above: /^limit .*256/,
  },
  {
    name: 'tasks waited for',
    at: 256,
    lua: `local tasks = {} for i = 1, $N do tasks[i] = httpd.spawn(tostring, 1) httpd.wait(tasks[i]) end return httpd.wait(table.unpack(tasks))`,
    above: /^error .*256/,
  },
  {
    name: 'results of a task',
    at: 1000,
    lua: `local task = httpd.spawn(function() return table.unpack({}, 1, $N) end) local _, ok, message = httpd.wait(task) return ok, message`,
    above: /1000/,
  },
  {
    name: 'timers of a script',
    at: 1000,
    lua: `local made, message, code = {} for i = 1, $N do made[i], message, code = httpd.timer(1000, print) end
      local last = made[$N] for _, timer in pairs(made) do timer:cancel() end return last, message, code`,
    above: /^limit .*1000/,
  },
  {
    name: 'seconds of a timer',
    at: 86_400,
    lua: `return httpd.timer($N, print):cancel()`,
    above: /^error .*86400/,
  },
  {
    name: 'seconds between calls of a timer',
    at: 86_400,
    lua: `return httpd.timer(60, print, {every = $N}):cancel()`,
    above: /^error .*86400/,
  },
  {
    name: 'bytes of the name of a timer',
    at: 64,
    lua: `return httpd.timer(60, print, {once = ('x'):rep($N)}):cancel()`,
    above: /^error .*64/,
  },
  {
    name: 'seconds of a sleep',
    at: 86_400,
    lua: `local task = httpd.spawn(httpd.sleep, $N) httpd.sleep(0) if httpd.kill(task) then return true end
      local _, _, message = httpd.wait(task) return nil, message`,
    above: /86400/,
  },
  {
    name: 'fetches of a request at once',
    holds: 'sixty TLS handshakes at once, of both sides',
    at: 64,
    lua: `local message, code local tasks = {}
      for i = 1, $N do tasks[i] = httpd.spawn(function()
        local response, why, what = httpd.fetch('https://127.0.0.1:' .. env.SERVER_PORT .. '/hostile/hold', {tls = {verify = false}})
        if what == 'limit' then message, code = why, what end end) end
      httpd.sleep(0.2) for _, task in ipairs(tasks) do httpd.kill(task) end return not code, message, code`,
    above: /^limit .*64/,
  },
  {
    name: 'connections of a request at once',
    at: 64,
    lua: `local open, message, code = {}
      for i = 1, $N do open[i], message, code = httpd.connect('127.0.0.1', tonumber(env.SERVER_PORT)) end return open[$N], message, code`,
    above: /^limit .*64/,
  },
  {
    name: 'bytes of the name of a kept connection',
    at: 128,
    lua: `local _, message, code = httpd.connect('127.0.0.1', 1, {keepalive = ('x'):rep($N)}) return code == 'refused', message, code`,
    above: /^error .*128/,
  },
  {
    name: 'bytes of the path of a unix socket',
    at: 107,
    lua: `local _, message, code = httpd.connect('unix:/' .. ('x'):rep($N - 1)) return code == 'notfound', message, code`,
    above: /^invalid .*107/,
  },
  {
    name: 'bytes of a string that a fetch sends',
    holds: COPIES,
    at: 16 * MEBIBYTE,
    lua: `local _, message, code = httpd.fetch('http://127.0.0.1:1/', {body = ('12345678'):rep($N // 8) .. ('x'):rep($N % 8)}) return code == 'refused', message, code`,
    above: /(?:16777216|16 MiB)/,
  },
  {
    name: 'redirects of a fetch',
    at: 20,
    lua: `local _, message, code = httpd.fetch('http://127.0.0.1:1/', {redirect = $N}) return code == 'refused', message, code`,
    above: /^error .*20/,
  },
  {
    name: 'bytes of a URL',
    at: 16 * KIBIBYTE,
    lua: `local url = 'http://127.0.0.1:1/' local _, message, code = httpd.fetch(url .. ('x'):rep($N - #url)) return code == 'refused', message, code`,
    above: /16384/,
  },
  {
    name: 'fields of one table',
    at: 2000,
    lua: `local fields = {} for i = 1, $N do fields['x-' .. i] = 'v' end
      local _, message, code = httpd.fetch('http://127.0.0.1:1/', {headers = fields}) return code == 'refused', message, code`,
    above: /2000/,
  },
  {
    name: 'bytes of fields of one table',
    at: 256 * KIBIBYTE,
    lua: `local _, message, code = httpd.fetch('http://127.0.0.1:1/', {headers = {x = ('v'):rep($N - 1)}}) return code == 'refused', message, code`,
    above: /262144/,
  },
  {
    name: 'informational heads, bytes',
    at: 256 * KIBIBYTE,
    lua: `-- 64 bytes beside the fields; the name has one
      local left = $N while left > 0 do local size = left > 4096 + 65 and 4096 or left httpd.header({[':status'] = 103, x = ('v'):rep(size - 65)}) left = left - size end return true`,
    above: /^error .*262144/,
  },
  {
    name: 'levels of JSON that is read',
    at: 1000,
    lua: `return httpd.json.decode(('['):rep($N) .. (']'):rep($N))`,
    above: /^limit .*1000/,
  },
  {
    name: 'levels of JSON that is written',
    at: 1000,
    lua: `local t = 1 for i = 1, $N do t = {t} end return httpd.json.encode(t)`,
    above: /^error .*1000/,
  },
  {
    name: 'bytes of a name in JSON that is read',
    at: 256 * KIBIBYTE,
    lua: `return httpd.json.decode('{"' .. ('x'):rep($N) .. '":1}')`,
    above: /^limit .*262144/,
  },
  {
    name: 'bytes of a name in JSON that is written',
    at: 256 * KIBIBYTE,
    lua: `return httpd.json.encode({[('x'):rep($N)] = 1})`,
    above: /^error .*262144/,
  },
  {
    name: 'characters of a number in JSON',
    at: 4096,
    lua: `return httpd.json.decode('[' .. ('1'):rep($N) .. ']')`,
    above: /^limit .*4096/,
  },
  {
    name: 'parts of a query',
    at: 1000,
    lua: `return httpd.query(('a&'):rep($N - 1) .. 'a')`,
    above: /^limit .*1000/,
  },
  {
    name: 'bytes of a query made of a table',
    holds: COPIES,
    at: 16 * MEBIBYTE,
    lua: `return #httpd.encode('query', {a = ('12345678'):rep(($N - 2) // 8) .. ('x'):rep(($N - 2) % 8)})`,
    above: /16777216/,
  },
  {
    name: 'bytes of a format of os.date',
    at: 32 * KIBIBYTE,
    lua: `return #os.date(('x'):rep($N))`,
    above: /^error .*32768/,
  },
  {
    name: 'conversions of os.date',
    at: 1000,
    lua: `return #os.date(('%d'):rep($N))`,
    above: /^error .*1000/,
  },
  {
    name: 'bytes of the name of a module',
    at: 1024,
    lua: `local _, message = package.searchpath(('x'):rep($N), './?.lua') return message:find('no file') == 1 or message:find('^%s*no file') ~= nil, message`,
    above: /1024/,
  },
  {
    name: 'templates of a search path',
    at: 100,
    lua: `local _, message = package.searchpath('x', ('./?;'):rep($N - 1) .. './?') return message:find('no file') ~= nil, message`,
    above: /100/,
  },
  {
    name: 'bytes of a name of a variable',
    at: 128 * KIBIBYTE,
    lua: `os.getenv(('x'):rep($N)) return true`,
    above: /^error .*131072/,
  },
  {
    name: 'bytes of a date',
    at: 128 * KIBIBYTE,
    lua: `local _, message, code = httpd.parsedate(('x'):rep($N)) return code == 'invalid', message, code`,
    above: /^error .*131072/,
  },
  {
    name: 'bytes of a command',
    at: 128 * KIBIBYTE,
    lua: `os.execute(('x'):rep($N)) return true`,
    above: /^error .*131072/,
  },
  {
    name: 'bytes of a name of a file',
    at: 4095,
    lua: `local _, message, code = io.open('/' .. ('a/'):rep(($N - 1) // 2) .. ('b'):rep(($N - 1) % 2)) return message:find('No such file') ~= nil, message, code`,
    above: /too long/,
  },
  {
    name: 'formats of one read',
    at: 250,
    lua: `local formats = {} for i = 1, $N do formats[i] = 0 end local file <close> = io.tmpfile() file:read(table.unpack(formats)) return true`,
    above: /^error .*251/,
  },
  {
    name: 'bytes of a key of a dictionary',
    at: 1024,
    lua: `return httpd.shared 'limits':set(('k'):rep($N), 1)`,
    above: /^limit .*1024/,
  },
  {
    name: 'bytes of the name of a dictionary',
    at: 63,
    lua: `return httpd.shared(('d'):rep($N))`,
    above: /63/,
  },
  {
    name: 'keys of a dictionary in one list',
    at: 65_536,
    lua: `return httpd.shared 'limits':keys($N)`,
    above: /^error .*65536/,
  },
  {
    name: 'files of a mapping',
    // half of what the other mapping leaves of 512
    at: 256,
    lua: `local files, file, message, code = {} for i = 1, $N do file, message, code = io.open('/dev/null') files[i] = file end
      for _, one in pairs(files) do one:close() end return file, message, code`,
    above: /its share is 256/,
  },
  {
    name: 'programs of a mapping',
    at: 64,
    lua: `local programs, program, message, code = {} for i = 1, $N do program, message, code = io.popen('cat', 'w') programs[i] = program end
      for _, one in pairs(programs) do one:close() end return program, message, code`,
    above: /its share is 64/,
  },
  {
    name: 'bytes of a PEM text',
    at: MEBIBYTE,
    lua: `local _, message, code = httpd.fetch('https://127.0.0.1:1/', {tls = {ca = '-----BEGIN X' .. ('x'):rep($N - 12)}}) return code == 'refused' or code == 'invalid', message, code`,
    above: /1048576/,
  },
  {
    name: 'bytes of a script that is read',
    holds: COPIES,
    at: 16 * MEBIBYTE,
    lua: `local file <close> = assert(io.open('script-limit.lua', 'w')) local piece = (' '):rep(65536)
      for i = 1, $N // 65536 do file:write(piece) end file:write((' '):rep($N % 65536)) file:close()
      local chunk, message = loadfile('script-limit.lua') os.remove('script-limit.lua') return chunk, message`,
    above: /16777216/,
  },
];

/** Statuses, times and memory answer with themselves. */
const OTHERS: readonly HostileScript[] = [
  ...[99, 100, 101, 102, 199, 200, 598, 599, 600].map(
    (status): HostileScript => ({
      name: `the status ${status}`,
      program: 'limits',
      lua: `httpd.header({[':status'] = ${status}})`,
      gets: statusGets(status),
    }),
  ),
  {
    name: 'processor time: two thirds of the limit',
    program: 'limits',
    lua: `local till = os.clock() + 0.2 while os.clock() < till do end return 'ok'`,
    gets: /^200 survived ok$/,
  },
  {
    name: 'processor time: more than the limit',
    program: 'limits',
    lua: `for i = 1, 1e9 do end return 'ok'`,
    gets: /^500$/,
  },
  {
    name: 'silence: half the limit',
    program: 'limits',
    timeout: 2,
    lua: `httpd.sleep(1) return 'ok'`,
    gets: /^200 survived ok$/,
  },
  {
    name: 'silence: twice the limit',
    program: 'limits',
    timeout: 0.5,
    lua: `httpd.sleep(1) return 'ok'`,
    gets: /^500$/,
  },
  {
    name: 'memory: two thirds of the limit',
    program: 'limits',
    lua: `local t = {} for i = 1, 40 do t[i] = ('12345678'):rep(131072) end return 'ok'`,
    gets: /^200 survived ok$/,
  },
  {
    name: 'memory: the limit',
    program: 'limits',
    lua: `local ok, message = pcall(string.rep, '12345678', 8 * 1024 * 1024) return message`,
    gets: /^200 survived not enough memory$/,
  },
  {
    name: 'a timer every thousandth of a second',
    program: 'limits',
    lua: `return httpd.timer(60, print, {every = 0.001}):cancel()`,
    gets: /^200 survived true$/,
  },
  {
    name: 'a timer more often than every thousandth of a second',
    program: 'limits',
    lua: `local _, message = pcall(httpd.timer, 60, print, {every = 0.0009}) return message`,
    gets: /^200 survived .*0\.001/,
  },
  {
    // the last one: nobody can register any more
    name: 'handlers of a script: one above 10,000',
    program: 'limits',
    lua: `for i = 1, 10001 do local _, message, code = httpd.register_handler('/many-' .. i, print) if code then return code .. ' ' .. message end end`,
    gets: /^200 survived limit .*10,?000/,
    cpu: 3,
  },
];

function statusGets(status: number): RegExp {
  if (status === 99 || status === 101 || status === 600) return /^500$/;
  // informational: the answer comes behind it
  return status < 200 ? /^200 survived nil$/ : new RegExp(`^${status}`);
}

function entries({ name, at, lua, above, holds }: Limit): HostileScript[] {
  return (
    [
      ['one below', at - 1, /^200 survived ok$/],
      ['at the limit', at, /^200 survived ok$/],
      [
        'one above',
        at + 1,
        new RegExp(
          `^200 survived ${above.source.startsWith('^') ? above.source.slice(1) : `.*${above.source}`}`,
        ),
      ],
    ] as const
  ).map(([where, n, gets]) => ({
    name: `${name}, ${where}: ${n}`,
    program: 'limits',
    cpu: 3,
    lua: `local function try() ${lua.replaceAll('$N', String(n))} end
      local called, ok, message, code = pcall(try)
      if called and ok then return 'ok' end
      return called and tostring(code) .. ' ' .. tostring(message):sub(-100) or 'error ' .. tostring(ok):sub(-100)`,
    gets,
    ...(holds === undefined ? {} : { holds }),
  }));
}

export const SCRIPT_LIMITS: readonly HostileScript[] = [...LIMITS.flatMap(entries), ...OTHERS];
