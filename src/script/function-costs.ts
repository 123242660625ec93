/**
 * What each function that Lua can call costs the processor, and what bounds its arguments: the list that tests hold the
 * functions of a running state to, and that docs/function-costs.md is made of. Each call of a host function takes 0.5 µs
 * from the CPU limit before it begins (lua/host-functions.ts).
 */

/**
 * `inside`: all its work is the VM's own, whose loops and copies count (lua/wasm-rewriter.ts). `constant`: nothing beside the
 * call. `metered`: at once, and paid for by `by`. `sliced`: in steps of a fraction of a millisecond, each paid for, between
 * which others get their turns. `asynchronous`: it waits for somebody else, and what it moves is paid for.
 */
type CostKind = 'inside' | 'constant' | 'metered' | 'sliced' | 'asynchronous';

export interface FunctionCost {
  readonly kind: CostKind;
  /** What it is paid for by. */
  readonly by?: string;
  /** What bounds its arguments, where something does beside the memory of the state. */
  readonly bound?: string;
}

const INSIDE: FunctionCost = { kind: 'inside' };
const CONSTANT: FunctionCost = { kind: 'constant' };

function all(cost: FunctionCost, prefix: string, names: string): [string, FunctionCost][] {
  return names.split(' ').map((name) => [prefix + name, cost]);
}

const NAME = 'strings of 128 KiB';
const FILE_NAME = 'names of 4095 bytes';
const FIELDS = '256 KiB of names and values, 2000 fields';
const LINE = 'lines of 64 KiB';
const HANDLE: FunctionCost = CONSTANT;

/** By name: `module.function`, `TYPE:method`, `TYPE.__metamethod`; `f()` is what `f` returns. */
export const FUNCTION_COSTS: ReadonlyMap<string, FunctionCost> = new Map<string, FunctionCost>([
  ...all(
    INSIDE,
    '',
    'assert collectgarbage error getmetatable ipairs next pairs pcall rawequal rawget rawlen rawset select setmetatable tonumber tostring type xpcall',
  ),
  ...all(
    INSIDE,
    'string.',
    'byte char find format gmatch gmatch() gsub len lower match pack packsize rep reverse sub unpack upper',
  ),
  ...all(INSIDE, 'table.', 'concat insert move pack remove sort unpack'),
  ...all(INSIDE, 'utf8.', 'char codepoint codes len offset'),
  ...all(
    INSIDE,
    'math.',
    'abs acos asin atan ceil cos cosh deg exp floor fmod frexp ldexp log log10 max min modf pow rad random randomseed sin sinh sqrt tan tanh tointeger type ult',
  ),
  ...all(INSIDE, 'os.', 'clock time'),
  ...all(INSIDE, 'coroutine.', 'create'),
  ...all(CONSTANT, 'coroutine.', 'close isyieldable resume running status wrap wrap() yield'),
  ...all(INSIDE, 'debug.', 'getmetatable getuservalue setmetatable setuservalue traceback upvaluejoin'),
  ...all(CONSTANT, 'debug.', 'gethook getinfo getlocal getupvalue setlocal setupvalue upvalueid'),

  ['print', { kind: 'metered', by: 'bytes and values', bound: LINE }],
  ['warn', { kind: 'metered', by: 'parts and bytes', bound: 'warnings of 8 KiB' }],
  ['load', { kind: 'metered', by: 'bytes of binary chunks' }],
  ['string.dump', { kind: 'metered', by: 'bytes' }],
  ['loadfile', { kind: 'metered', by: 'bytes', bound: `${FILE_NAME}, files of 16 MiB` }],
  ['dofile', { kind: 'metered', by: 'bytes', bound: `${FILE_NAME}, files of 16 MiB` }],
  [
    'require',
    { kind: 'metered', by: 'files looked for', bound: 'names of 1 KiB, 100 templates, 32 KiB of them' },
  ],
  ['package.searchers.1', INSIDE],
  ['package.searchers.2', { kind: 'metered', by: 'files looked for', bound: 'as require' }],
  ['package.searchers.3', CONSTANT],
  ['package.loadlib', INSIDE],
  [
    'package.searchpath',
    { kind: 'metered', by: 'files looked for', bound: 'names of 1 KiB, 100 templates, 32 KiB of them' },
  ],

  ['os.date', { kind: 'metered', by: 'bytes', bound: 'formats of 32 KiB, 1000 conversions' }],
  ['os.execute', { kind: 'asynchronous', bound: `commands of 128 KiB; an error where Lua cannot wait` }],
  ['os.difftime', CONSTANT],
  ['os.exit', CONSTANT],
  ['os.getenv', { kind: 'metered', by: 'bytes', bound: NAME }],
  ['os.remove', { kind: 'asynchronous', bound: FILE_NAME }],
  ['os.rename', { kind: 'asynchronous', bound: FILE_NAME }],
  ['os.setlocale', { kind: 'metered', by: 'bytes', bound: NAME }],
  ['os.tmpname', CONSTANT],

  ...all({ kind: 'asynchronous' }, 'io.', 'close flush tmpfile'),
  ...all({ kind: 'asynchronous', bound: FILE_NAME }, 'io.', 'input lines open output'),
  ['io.popen', { kind: 'asynchronous', bound: 'commands of 128 KiB; an error where Lua cannot wait' }],
  ...all({ kind: 'asynchronous', by: 'bytes', bound: '250 formats' }, 'io.', 'lines() read'),
  ['io.write', { kind: 'asynchronous', by: 'arguments and pieces of 16 KiB' }],
  ['io.type', CONSTANT],
  ...all({ kind: 'asynchronous' }, 'FILE*', ':close :flush :seek .__close'),
  ...all({ kind: 'asynchronous', by: 'bytes', bound: '250 formats' }, 'FILE*:', 'lines read'),
  ['FILE*:write', { kind: 'asynchronous', by: 'arguments and pieces of 16 KiB' }],
  ['FILE*:setvbuf', { kind: 'metered', by: 'bytes', bound: NAME }],
  ...all(HANDLE, 'FILE*.', '__gc __tostring'),

  ...all({ kind: 'sliced', by: 'bytes' }, 'httpd.', 'decode'),
  ['httpd.encode', { kind: 'sliced', by: 'bytes and entries', bound: 'of a table 16 MiB' }],
  ['httpd.query', { kind: 'sliced', by: 'bytes', bound: '1000 parts, empty ones too' }],
  ['httpd.accepts', { kind: 'metered', by: 'entries and bytes', bound: '32 forms, 100 entries, 4 KiB' }],
  ['httpd.cookie', { kind: 'metered', by: 'calls', bound: 'name and value 4 KiB, attributes 1 KiB' }],
  ['httpd.cookies', { kind: 'metered', by: 'bytes and cookies', bound: '64 KiB, 500 cookies' }],
  ['httpd.crypto.equal', { kind: 'metered', by: 'bytes' }],
  ['httpd.crypto.hash', { kind: 'sliced', by: 'bytes' }],
  ['httpd.crypto.hmac', { kind: 'sliced', by: 'bytes', bound: 'keys of 128 KiB' }],
  [
    'httpd.crypto.kdf',
    {
      kind: 'asynchronous',
      by: 'bytes',
      bound: 'passwords of 4 KiB, the cost in api.md; 1 at once, 64 wait, 32 of a mapping',
    },
  ],
  ...all({ kind: 'metered', by: 'bytes', bound: 'texts of 1 MiB' }, 'httpd.crypto.', 'open seal'),
  ['httpd.crypto.random', { kind: 'metered', by: 'bytes', bound: '64 KiB' }],
  ...all(
    {
      kind: 'asynchronous',
      by: 'bytes and keys',
      bound: 'texts of 1 MiB, RSA keys of 4096 bits; 2 at once, 1024 wait, 512 of a mapping',
    },
    'httpd.crypto.',
    'sign verify',
  ),
  ...all(
    {
      kind: 'asynchronous',
      by: 'tokens and keys',
      bound: 'tokens of 16 KiB, claims of 11 KiB; as httpd.crypto.sign',
    },
    'httpd.jwt.',
    'sign verify',
  ),
  [
    'httpd.json.encode',
    {
      kind: 'sliced',
      by: 'values and bytes',
      bound: '64 MiB, 1000 levels, names of 256 KiB; 16 MiB of names being sorted',
    },
  ],
  [
    'httpd.json.decode',
    {
      kind: 'sliced',
      by: 'values and bytes',
      bound: '64 MiB, 1000 levels, names of 256 KiB, numbers of 4096 characters',
    },
  ],
  ['httpd.json.array', CONSTANT],
  ['httpd.read', { kind: 'asynchronous', by: 'bytes' }],
  ['httpd.write', { kind: 'asynchronous', by: 'pieces of 16 KiB' }],
  ['httpd.close', { kind: 'asynchronous' }],
  ['httpd.copy', { kind: 'asynchronous' }],
  ['httpd.compress', CONSTANT],
  ['httpd.sendfile', { kind: 'asynchronous', bound: `${FILE_NAME}; headers as httpd.header` }],
  [
    'httpd.fetch',
    {
      kind: 'asynchronous',
      by: 'fields and bytes of the body',
      bound: `${FIELDS}; bodies that are strings 16 MiB`,
    },
  ],
  [
    'httpd.proxy',
    { kind: 'asynchronous', by: 'fields', bound: `${FIELDS}; 64 targets of 2 KiB, paths of 16 KiB` },
  ],
  ['httpd.upstreams', { kind: 'metered', by: 'servers', bound: '1024 servers of all mappings' }],
  [
    'httpd.connect',
    { kind: 'asynchronous', by: 'connections', bound: '64 connections of a request, lines of 1 MiB' },
  ],
  ['connection.keepalive', CONSTANT],
  [
    'httpd.cache.__call',
    { kind: 'asynchronous', by: 'tags', bound: 'keys of 1 KiB, 64 tags of 256 bytes, 10,000 values' },
  ],
  ['httpd.cache.purge', { kind: 'metered', by: 'bytes', bound: 'tags of 256 bytes, URLs of 8 KiB' }],
  [
    'httpd.form',
    { kind: 'asynchronous', by: 'bytes and parts', bound: '1 MiB (its option: 16 MiB), 1000 parts' },
  ],
  ['httpd.multipart', { kind: 'constant', bound: 'once for a request' }],
  [
    'httpd.multipart()',
    { kind: 'asynchronous', by: 'parts', bound: '100 parts, heads of 8 KiB (its options: 10,000, 64 KiB)' },
  ],
  ['httpd.header', { kind: 'metered', by: 'fields and bytes', bound: FIELDS }],
  ['httpd.trailer', { kind: 'metered', by: 'fields and bytes', bound: FIELDS }],
  ['httpd.exit', { kind: 'asynchronous', by: 'fields and bytes', bound: FIELDS }],
  ['httpd.redirect', { kind: 'asynchronous', by: 'bytes', bound: 'addresses of 8 KiB' }],
  ['httpd.request', CONSTANT],
  ['httpd.hook', { kind: 'constant', bound: '64 hooks of a phase' }],
  ['httpd.register_handler', { kind: 'metered', by: 'bytes', bound: 'names of 128 KiB' }],
  ['httpd.log', { kind: 'metered', by: 'bytes and values', bound: LINE }],
  ['httpd.date', CONSTANT],
  ['httpd.now', CONSTANT],
  ['httpd.parsedate', { kind: 'metered', by: 'bytes', bound: NAME }],
  ['httpd.sleep', { kind: 'asynchronous', bound: 'a day' }],
  ...all({ kind: 'asynchronous', bound: FILE_NAME }, 'httpd.files.', 'mkdir remove stat touch'),
  ['httpd.files.list', { kind: 'asynchronous', bound: `${FILE_NAME}, 10,000 entries` }],
  [
    'httpd.publish',
    { kind: 'metered', by: 'bytes and subscribers', bound: 'names of 255 bytes, messages of 256 KiB' },
  ],
  [
    'httpd.subscribe',
    { kind: 'metered', by: 'channels', bound: '64 channels, names of 255 bytes, queues of 16,384 messages' },
  ],
  ['httpd.subscribe().messages', CONSTANT],
  ...all({ kind: 'asynchronous', by: 'bytes' }, 'httpd.subscribe()', '.messages() .recv'),
  ['httpd.sse', { kind: 'asynchronous', by: 'fields and bytes', bound: FIELDS }],
  [
    'httpd.sse().send',
    { kind: 'asynchronous', by: 'bytes', bound: 'data of 256 KiB, types and ids of 1 KiB' },
  ],
  [
    'httpd.websocket',
    { kind: 'metered', by: 'calls', bound: 'messages of 64 MiB, 64 protocols and origins of 256 bytes' },
  ],
  ['httpd.websocket().recv', { kind: 'asynchronous', by: 'messages', bound: '16 messages or 1 MiB wait' }],
  ['httpd.websocket().send', { kind: 'asynchronous', by: 'bytes' }],
  ['httpd.websocket().messages', CONSTANT],
  ['httpd.websocket().messages()', { kind: 'asynchronous', by: 'messages' }],
  ['httpd.websocket().close', { kind: 'constant', bound: 'reasons of 123 bytes' }],
  ['httpd.spawn', { kind: 'metered', by: 'arguments' }],
  ['httpd.wait', { kind: 'asynchronous', bound: '1000 results' }],
  ['httpd.kill', CONSTANT],
  ['httpd.timer', CONSTANT],
  ['httpd.timer:cancel', CONSTANT],
  ['httpd.shared', { kind: 'metered', by: 'bytes', bound: NAME }],
  ...all(
    { kind: 'metered', by: 'bytes', bound: 'keys of 1 KiB, values of the size of the dictionary' },
    'httpd.shared:',
    'add get replace set',
  ),
  ...all({ kind: 'constant', bound: 'keys of 1 KiB' }, 'httpd.shared:', 'delete expire incr ttl'),
  ['httpd.shared:keys', { kind: 'metered', by: 'keys', bound: '65,536 keys' }],
  ['httpd.shared:flush', { kind: 'metered', by: 'calls' }],
  ...all(CONSTANT, 'stream.', '__close __gc __index __tostring'),
  // what scripts in the shape of luars' server have beside
  ...all(
    { kind: 'asynchronous', bound: 'as the functions they are made of' },
    'luars:',
    'http_get read_file sleep write_file',
  ),
  ['luars:env', { kind: 'metered', by: 'bytes', bound: NAME }],
  ['luars:log', { kind: 'metered', by: 'bytes', bound: LINE }],
  // what apps in the shape of luvit's are called with
  ['luvit:read', { kind: 'asynchronous', by: 'bytes' }],
  ['luvit:write', { kind: 'asynchronous', by: 'bytes', bound: 'of a head 256 KiB and 1000 fields' }],
  ['header.__index', { kind: 'metered', by: 'entries', bound: '10,000 entries' }],
  ['response.headers.__index', { kind: 'metered', by: 'bytes', bound: NAME }],
]);

/** The list as a table of a document. */
export function describeCosts(): string {
  const lines = ['| function | cost | paid for by | bound |', '|---|---|---|---|'];
  for (const name of [...FUNCTION_COSTS.keys()].sort()) {
    const { kind, by, bound } = FUNCTION_COSTS.get(name) as FunctionCost;
    lines.push(`| \`${name}\` | ${kind} | ${by ?? ''} | ${bound ?? ''} |`);
  }
  return `${lines.join('\n')}\n`;
}
