/** Scripts below a virtual root that want to leave it: by names, links, programs and renames in the right moment. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostileScript } from '../offender.ts';

/** Stands in the files beside the root, and nowhere else. */
const SECRET = 'what no script may see';
/** More links than the kernel follows (path_resolution(7)). */
const LINKS = 45;

/** What the gateway serves lies inside, too. */
const SCRIPTS: ReadonlySet<string> = new Set(['hostile.lua', 'honest.lua']);

/** Makes the root anew below `folder`, and beside it what must not be reached. */
export function makeRoot(folder: string): string {
  const root = join(folder, 'root');
  mkdirSync(root, { recursive: true });
  for (const name of readdirSync(root))
    if (!SCRIPTS.has(name)) rmSync(join(root, name), { recursive: true, force: true });
  mkdirSync(join(root, 'sub', 'deep'), { recursive: true });
  mkdirSync(join(root, 'kind'));
  for (const name of ['inside.lua', 'sub/inside.lua', 'kind/outside.lua'])
    writeFileSync(join(root, name), `return 'inside'`);
  writeFileSync(join(folder, 'outside.lua'), `return '${SECRET}'`);
  const links: Readonly<Record<string, string>> = {
    link: '../outside.lua',
    linked: '..',
    absolute: join(folder, 'outside.lua'),
    'absolute-folder': folder,
    'sub/up': '../../outside.lua',
    'sub/deep/up': '../../..',
    loop: 'loop',
    'loop-a': 'loop-b',
    'loop-b': 'loop-a/x',
    dangling: 'nothing',
    'dangling-out': '../made-through-a-link',
    'dangling-absolute': join(folder, 'made-through-a-link'),
    proc: '/proc',
    'proc-root': '/proc/self/root',
    'proc-cwd': '/proc/self/cwd',
    descriptor: '/proc/self/fd/0',
    zero: '/dev/zero',
    evil: '..',
    'chain-0': '../outside.lua',
  };
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(root, name));
  for (let i = 1; i < LINKS; i++) symlinkSync(`chain-${i - 1}`, join(root, `chain-${i}`));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  return root;
}

/** Says by which function something of the outside was reached. */
export const ROOT_HEAD: string = `
local SECRET = '${SECRET}'
local function reaches(name)
  local function reads(open)
    return function()
      local file = open(name)
      if not file then return false end
      local text = file:read(200)
      file:close()
      return text ~= nil and not text:find('inside', 1, true)
    end
  end
  local ways = {
    open = reads(io.open),
    update = reads(function(n) return io.open(n, 'r+') end),
    lines = function() for line in io.lines(name) do return not line:find('inside', 1, true) end end,
    input = function() io.input(name) local text = io.read('a') io.close(io.input()) io.input(io.stdin) return text:find(SECRET, 1, true) end,
    load = function() local chunk = loadfile(name) return chunk and chunk() == SECRET end,
    run = function() return dofile(name) == SECRET end,
    search = function() local found = package.searchpath(name, '?') return found and not found:find('^/?[%w/]*inside') end,
    require = function() local before = package.path package.path = name local ok, what = pcall(require, 'x' .. math.random(1e9)) package.path = before return ok and what == SECRET end,
    write = function() local file = io.open(name, 'w') if file then file:write('inside') file:close() end return false end,
    append = function() local file = io.open(name, 'a') if file then file:write('inside') file:close() end return false end,
    output = function() io.output(name) io.write('inside') io.close(io.output()) io.output(io.stdout) return false end,
    move = function() os.rename(name, 'moved') local file = io.open('moved') local text = file and file:read('a') if file then file:close() end os.rename('moved', name) return text and text:find(SECRET, 1, true) end,
    onto = function() local file = io.open('mine', 'w') file:write('inside') file:close() os.rename('mine', name) return false end,
    remove = function() return name:find('^/?%.%./') and os.remove(name) end,
    hash = function() local file = io.open(name) if file then local _, _ = pcall(httpd.crypto.hash, 'sha256', file, 'hex') file:close() end return false end,
    certificate = function() local _, message = httpd.fetch('https://127.0.0.1:1/', {tls = {ca = name}}) return message:find(SECRET, 1, true) end,
  }
  -- those that make something come last
  local order = {'open', 'update', 'lines', 'input', 'load', 'run', 'search', 'require', 'hash', 'certificate', 'write', 'append', 'output', 'move', 'onto', 'remove'}
  for _, way in ipairs(order) do
    local ok, reached = pcall(ways[way])
    io.input(io.stdin) io.output(io.stdout)
    if ok and reached then return 'REACHED by ' .. way end
  end
  return 'nothing'
end
`;

const NOTHING = /^200 survived nothing$/;
const NAMES: readonly string[] = [
  '../outside.lua',
  'sub/../../outside.lua',
  './././../outside.lua',
  '/../outside.lua',
  '//..//outside.lua',
  '$FOLDER/outside.lua',
  'inside.lua/../../outside.lua',
  'nothing/../../outside.lua',
  'link',
  'link/',
  'linked/outside.lua',
  'linked/root/../outside.lua',
  'absolute',
  'absolute-folder/outside.lua',
  'sub/up',
  'sub/deep/up/outside.lua',
  'loop',
  'loop-a',
  'dangling-out',
  'dangling-absolute',
  'proc/self/environ',
  'proc/1/status',
  'proc-root/etc/passwd',
  'proc-cwd/outside.lua',
  'descriptor',
  '/proc/self/environ',
  '/dev/fd/0',
  '/etc/passwd',
  `chain-${LINKS - 1}`,
  'chain-1',
  '..',
  '/..',
  '',
  '\\0',
  'inside.lua\\0../outside.lua',
  '..\\0/outside.lua',
  '%2e%2e/outside.lua',
  '..\\\\outside.lua',
  '\\n',
  '\\255\\254',
];

const BRIEF: ReadonlySet<string> = new Set(['sub/up', 'loop-a', 'dangling-out', 'proc-root/etc/passwd']);

const COMMANDS: readonly string[] = [
  'cat; id',
  'cat | id',
  'cat && id',
  '$(id)',
  '`id`',
  'id',
  '/bin/cat /etc/passwd',
  './cat',
  '../../bin/id',
  'cat\\nid',
  'sh -c id',
  'true\\0id',
];

export const ROOT: readonly HostileScript[] = [
  ...NAMES.map(
    (name): HostileScript => ({
      name: `below a root: the name ${name === '' ? 'of no bytes' : name.replace('$FOLDER', 'of the folder above,')}`,
      program: 'root',
      brief: BRIEF.has(name),
      lua: `return reaches('${name}')`,
      cpu: 3,
      gets: NOTHING,
    }),
  ),
  ...['../', 'sub/../', './', 'a/', 'sub/deep/../../', 'linked/root/'].flatMap((part) =>
    [4095, 4096, 1_000_000].map(
      (bytes): HostileScript => ({
        name: `below a root: ${part} up to ${bytes} bytes`,
        program: 'root',
        lua: `return reaches(('${part}'):rep(${Math.floor(bytes / part.length)}) .. '../outside.lua')`,
        cpu: 3,
        gets: NOTHING,
      }),
    ),
  ),
  ...[255, 256].map(
    (bytes): HostileScript => ({
      name: `below a root: a part of ${bytes} bytes`,
      program: 'root',
      lua: `local file = io.open(('x'):rep(${bytes}), 'w') if file then file:close() os.remove(('x'):rep(${bytes})) end return file and 'made' or 'refused'`,
      gets: bytes > 255 ? /^200 survived refused$/ : /^200 survived made$/,
    }),
  ),
  ...COMMANDS.map(
    (command): HostileScript => ({
      name: `below a root: the program ${command}`,
      program: 'root',
      lua: `local program = io.popen('${command}') local text = program and program:read('a') if program then program:close() end
        local done = pcall(os.execute, '${command}') return (text == nil or text == '' or not text:find('uid=')) and 'nothing' or 'REACHED'`,
      gets: NOTHING,
    }),
  ),
  {
    name: 'below a root: a FIFO that nobody writes to',
    program: 'root',
    timeout: 1,
    lua: `local file <close> = io.open('fifo') return file:read('a')`,
    gets: /^(?:500|200)/,
  },
  {
    name: 'below a root: a FIFO of its own',
    program: 'root',
    lua: `httpd.spawn(function() local file = io.open('fifo', 'w') file:write('inside') file:close() end) local file <close> = io.open('fifo') return file:read('a')`,
    gets: /^200 survived inside$/,
  },
  {
    name: 'below a root: a device behind a link, read for ever',
    program: 'root',
    lua: `return io.open('zero') or 'nothing'`,
    gets: NOTHING,
  },
  {
    name: 'below a root: folders that are swapped for links while they are opened',
    brief: true,
    program: 'root',
    cpu: 5,
    lua: `local over, found = false, 'nothing'
      local swaps = httpd.spawn(function() while not over do
        os.rename('kind', 'swap') os.rename('swap', 'kind') os.rename('evil', 'swap') os.rename('swap', 'evil') end end)
      local readers = {}
      for n = 1, 4 do readers[n] = httpd.spawn(function() for i = 1, 100 do
        local file = io.open('swap/outside.lua') local text = file and file:read('a') if file then file:close() end
        if text and text:find(SECRET, 1, true) then found = 'REACHED' end
        local written = io.open('swap/made-in-a-race', 'w') if written then written:close() os.remove('swap/made-in-a-race') end end end) end
      for n = 1, 4 do httpd.wait(readers[n]) end over = true httpd.wait(swaps) return found`,
    gets: NOTHING,
  },
  {
    name: 'below a root: a file that is swapped for a link while it is opened',
    program: 'root',
    cpu: 5,
    lua: `local over, found = false, 'nothing'
      local swaps = httpd.spawn(function() while not over do
        os.rename('sub/inside.lua', 'target') os.rename('target', 'sub/inside.lua') os.rename('link', 'target') os.rename('target', 'link') end end)
      local readers = {}
      for n = 1, 4 do readers[n] = httpd.spawn(function() for i = 1, 300 do
        local file = io.open('target', i % 2 == 0 and 'r+' or 'r') local text = file and file:read('a') if file then file:close() end
        if text and text:find(SECRET, 1, true) then found = 'REACHED' end end end) end
      for n = 1, 4 do httpd.wait(readers[n]) end over = true httpd.wait(swaps) return found`,
    gets: NOTHING,
  },
];
