/** Every function that a script can call, with extreme arguments: generated from the list of what each of them costs. */
import { FUNCTION_COSTS } from '../../../src/script/function-costs.ts';
import { EXTREMES } from '../extremes.ts';
import type { HostileScript } from '../offender.ts';

const CALLED = /^200 survived \d+ calls$/;
/** A function that answers the client itself leaves us nothing to say. */
const ANY_ANSWER = /^[2-5]\d\d/;
const CALLED_OR_ENDED = /^(?:200 survived \d+ calls|500)$/;

/** Those that take no arguments, or one number: they get three times the same extreme value. */
const WITHOUT_USUAL: readonly string[] = [
  'string.gmatch()',
  'math.abs',
  'math.acos',
  'math.asin',
  'math.atan',
  'math.ceil',
  'math.cos',
  'math.cosh',
  'math.deg',
  'math.exp',
  'math.floor',
  'math.frexp',
  'math.log',
  'math.log10',
  'math.modf',
  'math.rad',
  'math.sin',
  'math.sinh',
  'math.sqrt',
  'math.tan',
  'math.tanh',
  'math.tointeger',
  'math.type',
  'os.clock',
  'coroutine.isyieldable',
  'coroutine.running',
  'coroutine.wrap()',
  'debug.gethook',
  'os.tmpname',
  'io.flush',
  'io.tmpfile',
  'io.lines()',
  'httpd.multipart()',
  'httpd.request',
  'httpd.now',
  'httpd.upstreams',
  'luvit:read',
];

/** Arguments that each of them takes, as Lua expressions. */
export const USUAL: Readonly<Record<string, string>> = {
  ...Object.fromEntries(WITHOUT_USUAL.map((name) => [name, ''])),
  assert: `true, 'message'`,
  collectgarbage: `'count'`,
  error: `'message', 1`,
  getmetatable: '{}',
  ipairs: '{1}',
  next: '{1}, 1',
  pairs: '{1}',
  pcall: 'function() end, 1',
  rawequal: '1, 1',
  rawget: '{1}, 1',
  rawlen: '{1}',
  rawset: '{}, 1, 1',
  select: '1, 1, 2',
  setmetatable: '{}, {}',
  tonumber: `'10', 10`,
  tostring: '1',
  type: '1',
  xpcall: 'function() end, print, 1',
  print: '1, 2',
  warn: `'x', 'y'`,
  load: `'return 1', 'chunk', 't', {}`,
  loadfile: `'script-0.lua', 't', {}`,
  dofile: `'nothing.lua'`,
  require: `'httpd'`,
  'string.byte': `'abc', 1, 2`,
  'string.char': '65, 66',
  'string.dump': 'function() end, true',
  'string.find': `'abc', 'b', 1, true`,
  'string.format': `'%s %d %q', 'a', 1, 2`,
  'string.gmatch': `'abc', 'b', 1`,
  'string.gsub': `'abc', 'b', 'c', 1`,
  'string.len': `'abc'`,
  'string.lower': `'abc'`,
  'string.match': `'abc', 'b', 1`,
  'string.pack': `'<i4s1', 1, 'a'`,
  'string.packsize': `'<i4'`,
  'string.rep': `'abc', 2, ','`,
  'string.reverse': `'abc'`,
  'string.sub': `'abc', 1, 2`,
  'string.unpack': `'<i4', 'abcd', 1`,
  'string.upper': `'abc'`,
  'table.concat': `{'a', 'b'}, ',', 1, 2`,
  'table.insert': '{1}, 1, 2',
  'table.move': '{1, 2}, 1, 2, 1, {}',
  'table.pack': '1, 2',
  'table.remove': '{1, 2}, 1',
  'table.sort': '{2, 1}, function(a, b) return a < b end',
  'table.unpack': '{1, 2}, 1, 2',
  'utf8.char': '65, 66',
  'utf8.codepoint': `'abc', 1, 2, true`,
  'utf8.codes': `'abc', true`,
  'utf8.len': `'abc', 1, 2, true`,
  'utf8.offset': `'abc', 1, 1`,
  'math.fmod': '1, 1',
  'math.ldexp': '1, 1',
  'math.max': '1, 2',
  'math.min': '1, 2',
  'math.pow': '1, 1',
  'math.random': '1, 2',
  'math.randomseed': '1, 2',
  'math.ult': '1, 1',
  'coroutine.close': 'coroutine.create(print)',
  'coroutine.create': 'print',
  'coroutine.resume': 'coroutine.create(print), 1',
  'coroutine.status': 'coroutine.create(print)',
  'coroutine.wrap': 'print',
  'coroutine.yield': '1, 2',
  'debug.getinfo': `1, 'nSltu'`,
  'debug.getlocal': '1, 1',
  'debug.getmetatable': '{}',
  'debug.getupvalue': 'counter(), 1',
  'debug.getuservalue': 'io.stdout, 1',
  'debug.setlocal': '1, 1, 1',
  'debug.setmetatable': '{}, {}',
  'debug.setupvalue': 'counter(), 1, 1',
  'debug.setuservalue': 'io.stdout, 1, 1',
  'debug.traceback': `'message', 1`,
  'debug.upvalueid': 'counter(), 1',
  'debug.upvaluejoin': 'counter(), 1, counter(), 1',
  'os.date': `'%c', 0`,
  'os.difftime': '1, 2',
  'os.execute': `'true'`,
  'os.exit': 'true, true',
  'os.getenv': `'HOME'`,
  'os.remove': `'nothing'`,
  'os.rename': `'nothing', 'nowhere'`,
  'os.setlocale': `'C', 'all'`,
  'os.time': '{year = 2000, month = 1, day = 1}',
  'package.loadlib': `'x', 'y'`,
  'package.searchpath': `'x', '?.lua', '.', '/'`,
  'package.searchers.1': `'x'`,
  'package.searchers.2': `'x'`,
  'package.searchers.3': `'x'`,
  'io.close': 'io.tmpfile()',
  'io.input': `'script-0.lua'`,
  'io.lines': `'script-0.lua', 'l'`,
  'io.open': `'script-0.lua', 'r'`,
  'io.output': `'output'`,
  'io.popen': `'true', 'r'`,
  'io.read': `'l', 1`,
  'io.type': 'io.stdout',
  'io.write': `'x', 1`,
  'FILE*:close': 'io.tmpfile()',
  'FILE*:flush': 'io.tmpfile()',
  'FILE*:lines': `io.tmpfile(), 'l'`,
  'FILE*:read': `io.tmpfile(), 'l', 1`,
  'FILE*:seek': `io.tmpfile(), 'set', 0`,
  'FILE*:setvbuf': `io.tmpfile(), 'full', 1024`,
  'FILE*:write': `io.tmpfile(), 'x', 1`,
  'FILE*.__close': 'io.tmpfile(), nil',
  'FILE*.__gc': 'io.tmpfile()',
  'FILE*.__tostring': 'io.tmpfile()',
  'httpd.close': 'io.tmpfile()',
  'httpd.copy': 'io.tmpfile(), io.tmpfile(), 10',
  'httpd.accepts': `{'text/html', 'application/json'}, 'accept'`,
  'httpd.cookie': `'name', 'value', {path = '/'}`,
  'httpd.cookies': `'a=1; b=2'`,
  'httpd.crypto.equal': `'abc', 'abd'`,
  'httpd.crypto.hash': `'sha256', 'x', 'hex'`,
  'httpd.crypto.hmac': `'sha256', 'key', 'x', 'hex'`,
  'httpd.crypto.kdf': `'password', 'salt', {n = 1024, p = 1}`,
  'httpd.crypto.open': `('k'):rep(32), httpd.crypto.seal(('k'):rep(32), 'x', 'y'), 'y'`,
  'httpd.crypto.random': '16',
  'httpd.crypto.seal': `('k'):rep(32), 'x', 'y'`,
  'httpd.crypto.sign': `'key', 'x', {}`,
  'httpd.crypto.verify': `'key', 'x', 'signature', {}`,
  'httpd.jwt.sign': `{sub = 'x'}, ('k'):rep(32), {alg = 'HS256'}`,
  'httpd.jwt.verify': `'a.b.c', ('k'):rep(32), {alg = 'HS256'}`,
  'httpd.date': '0',
  'httpd.decode': `'hex', '00'`,
  'httpd.encode': `'hex', 'x'`,
  'httpd.exit': `200, 'x', {}`,
  'httpd.proxy': `'http://127.0.0.1:1/', {timeout = 1, headers = {}}`,
  'httpd.fetch': `'http://127.0.0.1:1/', {timeout = 1, headers = {}}`,
  'httpd.compress': '{level = 1, min = 1}',
  'httpd.cache.__call': `httpd.cache, 'key', {ttl = 1, stale = 1, tags = {'a'}}, print`,
  'httpd.cache.purge': `{tag = 'a', url = 'https://localhost/', all = true}`,
  'httpd.files.list': `'.'`,
  'httpd.files.mkdir': `'made'`,
  'httpd.files.remove': `'nothing'`,
  'httpd.files.stat': `'.', {follow = true}`,
  'httpd.files.touch': `'touched', 0, 0`,
  'httpd.connect': `'127.0.0.1', 1, {timeout = 1, keepalive = true}`,
  'connection.keepalive': 'connection(env), 1',
  'httpd.form': '{size = 1}',
  'httpd.multipart': '{parts = 1, head = 1, field = 1, size = 1}',
  'httpd.header': `{[':status'] = 103, ['x-a'] = 'a'}`,
  'httpd.hook': `'abort', print`,
  'httpd.json.array': '{1}',
  'httpd.json.decode': `'[1]'`,
  'httpd.json.encode': '{1}, {sorted = true}',
  'httpd.kill': 'httpd.spawn(coroutine.yield)',
  'httpd.log': `'info', 'x', 1`,
  'httpd.parsedate': `'Sun, 06 Nov 1994 08:49:37 GMT'`,
  'httpd.query': `'a=1'`,
  'httpd.read': 'io.tmpfile(), 10',
  'httpd.redirect': `'/', 302, {x = '1'}`,
  'httpd.register_handler': `'/extreme', print, {cpu = 1}`,
  'httpd.sendfile': `'cert.pem', {root = '.'}`,
  'httpd.websocket': `{protocols = {'a'}, origins = 'same', deflate = true, max = 9, ping = 1, timeout = 1}`,
  'httpd.websocket().recv': `socket(env), 1`,
  'httpd.websocket().send': `socket(env), 'x', 'binary'`,
  'httpd.websocket().messages': `socket(env)`,
  'httpd.websocket().messages()': `socket(env)`,
  'httpd.websocket().close': `socket(env), 1000, 'x'`,
  'httpd.publish': `'channel', 'x'`,
  'httpd.subscribe': `'channel', 'other', {queue = 10}`,
  'httpd.subscribe().messages': 'subscription()',
  'httpd.subscribe().messages()': 'subscription(), nil',
  'httpd.subscribe().recv': 'subscription(), 0',
  'httpd.sse': '{retry = 1, heartbeat = 1, headers = {}}',
  'httpd.sse().send': `events(env), 'x'`,
  'httpd.shared': `'hostile'`,
  'httpd.sleep': '0',
  'httpd.spawn': 'tostring, 1',
  'httpd.timer': '60, tostring, {every = 60}',
  'httpd.timer:cancel': 'httpd.timer(60, tostring)',
  'httpd.trailer': `{['x-a'] = 'a'}`,
  'httpd.wait': 'httpd.spawn(tostring, 1), httpd.spawn(tostring, 1)',
  'httpd.write': `io.tmpfile(), 'x'`,
  'httpd.shared:add': `httpd.shared 'hostile', 'k', 1, 60`,
  'httpd.shared:delete': `httpd.shared 'hostile', 'k'`,
  'httpd.shared:expire': `httpd.shared 'hostile', 'k', 60`,
  'httpd.shared:flush': `httpd.shared 'hostile'`,
  'httpd.shared:get': `httpd.shared 'hostile', 'k'`,
  'httpd.shared:incr': `httpd.shared 'hostile', 'n', 1, 0, 60, 0`,
  'httpd.shared:keys': `httpd.shared 'hostile', 10`,
  'httpd.shared:replace': `httpd.shared 'hostile', 'k', 1, 60`,
  'httpd.shared:set': `httpd.shared 'hostile', 'k', 1, 60`,
  'httpd.shared:ttl': `httpd.shared 'hostile', 'k'`,
  'header.__index': `header, 'x'`,
  'response.headers.__index': `response(env).headers, 'x'`,
  'stream.__close': 'response(env), nil',
  'stream.__gc': 'response(env)',
  'stream.__index': `response(env), 'status'`,
  'stream.__tostring': 'response(env)',
  'luars:http_get': `'http://127.0.0.1:1/'`,
  'luars:log': `'x'`,
  'luars:read_file': `'script-0.lua'`,
  'luars:sleep': '0',
  'luars:write_file': `'output', 'x'`,
  'luars:env': `'HOME'`,
  'luvit:write': `{code = 200, {'Content-Length', 1}}`,
};

/** Functions that write to the client, end its answer or break it off. */
const ANSWERS: ReadonlySet<string> = new Set([
  'httpd.close',
  'httpd.copy',
  'httpd.exit',
  'httpd.header',
  // in a loop it answers what is no form
  'httpd.multipart()',
  'httpd.sendfile',
  'httpd.sse',
  'httpd.sse().send',
  'httpd.websocket',
  'httpd.websocket().recv',
  'httpd.websocket().send',
  'httpd.websocket().messages',
  'httpd.websocket().messages()',
  'httpd.websocket().close',
  'httpd.write',
]);

/** Of the short form: a kind of argument each. */
const BRIEF: ReadonlySet<string> = new Set(['FILE*:read', 'httpd.json.encode', 'response.headers.__index']);

const COUNTS = 'the number it is given says how often the VM does it, in one call';
/** Functions that do something as often as a number says, without an end where that is 2^53. */
const ENDLESS: Readonly<Record<string, string>> = {
  'table.insert': COUNTS,
  'table.move': COUNTS,
  'table.remove': COUNTS,
};

const LUARS = 'luars:';
const LUVIT = 'luvit:';
/** Calls that `httpd.exit` is given, one a request: two, and one for each extreme value and place. */
const EXITS = 105;

/** What the scripts find beside the usual. */
export const FUNCTIONS_HEAD: string = `${EXTREMES}
local function counter() local n = 0 return function() n = n + 1 return n end end
local function response(env) return assert(httpd.fetch('https://127.0.0.1:' .. env.SERVER_PORT .. '/honest/hello?x', {tls = {verify = false}})) end
-- a request may have 64: what a call has left open makes room for the next one
local held
local function connection(env)
    if held then pcall(held.close, held) end
    held = assert(httpd.connect('127.0.0.1', tonumber(env.SERVER_PORT), {keepalive = true}))
    return held
end
local function named(name)
  local found = _G
  if name:find('^httpd%.') then found = {httpd = httpd} end
  for part in name:gmatch('[^.]+') do found = found[tonumber(part) or part] end
  return found
end
local iterators = setmetatable({}, {__mode = 'k'})
local function parts(env) iterators[env] = iterators[env] or httpd.multipart() return iterators[env] end
local streams = setmetatable({}, {__mode = 'k'})
local function subscription() local sub = httpd.subscribe('channel') httpd.publish('channel', 'x') return sub end
local function events(env) streams[env] = streams[env] or httpd.sse() return streams[env] end
-- the requests of this suite are no handshakes: they get 426 here, and test/httpd/websocket.test.ts calls the methods
local function socket(env) return httpd.websocket() or httpd.exit() end
local function method(object, name) return debug.getmetatable(object).__index[name] end
local function metamethod(object, name) return rawget(debug.getmetatable(object), name) end
`;

/** A Lua expression for the function of that name. */
function found(name: string): string {
  const member = /[:.](\w+)$/.exec(name)?.[1] ?? '';
  if (name.startsWith('FILE*:')) return `method(io.stdout, '${member}')`;
  if (name.startsWith('FILE*.')) return `metamethod(io.stdout, '${member}')`;
  if (name.startsWith('httpd.shared:')) return `method(httpd.shared 'hostile', '${member}')`;
  if (name.startsWith('httpd.timer:')) return `method(httpd.timer(0, tostring), '${member}')`;
  if (name.startsWith('stream.')) return `metamethod(response(env), '${member}')`;
  if (name === 'connection.keepalive') return 'connection(env).keepalive';
  if (name === 'header.__index') return `metamethod(header, '__index')`;
  if (name === 'response.headers.__index') return `metamethod(response(env).headers, '__index')`;
  if (name === 'coroutine.wrap()')
    return 'coroutine.wrap(function(...) while true do coroutine.yield(...) end end)';
  if (name === 'httpd.multipart()') return 'parts(env)';
  if (name === 'httpd.subscribe().messages()') return '(subscription():messages())';
  if (name.startsWith('httpd.subscribe().')) return `subscription().${member}`;
  if (name === 'httpd.sse().send') return 'events(env).send';
  if (name.startsWith('httpd.websocket()'))
    return `socket(env).${name === 'httpd.websocket().messages()' ? 'recv' : member}`;
  if (name === 'io.lines()') return `io.lines('script-0.lua')`;
  if (name === 'string.gmatch()') return `('abc'):gmatch('.')`;
  return `named '${name}'`;
}

function extreme(name: string): HostileScript {
  const shared = {
    name: `${name} with extreme arguments`,
    program: 'functions',
    cpu: 5,
    brief: BRIEF.has(name),
  } as const;
  // what it reads and writes is the connection: anything may come of it, and the time limit ends a wait for more requests
  if (name.startsWith(LUVIT))
    return { ...shared, path: `/luvit/${name.slice(LUVIT.length)}`, lua: '', gets: /^(?:[2-5]\d\d|0 cut)/ };
  if (name.startsWith(LUARS))
    return { ...shared, path: `/luars/${name.slice(LUARS.length)}`, lua: '', gets: CALLED };
  const lua = `return extremes('${name}', function() return ${found(name)} end, ${usual(name)}, env, header)`;
  const holds = ENDLESS[name];
  if (holds !== undefined)
    return { ...shared, lua, cpu: 0.3, gets: CALLED_OR_ENDED, holds, losesState: holds };
  if (name === 'httpd.exit' || name === 'httpd.redirect') {
    const counted = lua.replace(/\)$/, ', exits)');
    return { ...shared, lua: `exits = (exits or 0) + 1 ${counted}`, times: EXITS, gets: ANY_ANSWER };
  }
  return { ...shared, lua, gets: ANSWERS.has(name) ? ANY_ANSWER : CALLED };
}

function usual(name: string): string {
  return `function(env, header) return ${USUAL[name] ?? ''} end`;
}

export const FUNCTIONS: readonly HostileScript[] = [...FUNCTION_COSTS.keys()].map(extreme);

/** A script in the shape of luars' server, whose functions are global. */
export const LUARS_SCRIPT: string = `${EXTREMES}
local usual = {${[...FUNCTION_COSTS.keys()]
  .filter((name) => name.startsWith(LUARS))
  .map((name) => `${name.slice(LUARS.length)} = ${usual(name)}`)
  .join(', ')}}
function handle_request(method, path)
  local name = path:match('[%w_]+$')
  return 200, 'text/plain', 'survived ' .. extremes('${LUARS}' .. name, function() return _G[name] end, usual[name], {}, {})
end
`;

/** One in the shape of luvit's, which gets its functions with each connection. */
export const LUVIT_SCRIPT: string = `${EXTREMES}
return function(read, write)
  local functions = {read = read, write = write}
  local usual = {read = ${usual('luvit:read')}, write = ${usual('luvit:write')}}
  for request in read do
    local name = request.path:match('%w+$')
    local text = 'survived ' .. extremes('${LUVIT}' .. name, function() return functions[name] end, usual[name], {}, {})
    write {code = 200, {'Content-Length', #text}}
    write(text)
  end
  write()
end
`;
