/** What a script under `-r` cannot reach: no function accepts a name that leads out of the root. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { TestGateway } from '../support/test-gateway.ts';

/** Each name leads to `outside.lua` beside the root, or to a file of the system. */
const NAMES = [
  '$FOLDER/outside.lua',
  '../outside.lua',
  'sub/../../outside.lua',
  './../outside.lua',
  'link',
  'linked/outside.lua',
  'absolute',
  '/etc/passwd',
  '/proc/self/fd/0',
  'proc/self/environ',
  '../../../../../../../../etc/passwd',
  'inside.lua\\0',
];

const SCRIPT = `local httpd = require 'httpd'
local names = { ${NAMES.map((name) => `'${name}'`).join(', ')} }
local function kind(...)
    local ok, a, b, c = ...
    if not ok then return 'error: ' .. tostring(a):gsub('\\n', ' ') end
    if a == nil or a == false then return 'nil, ' .. type(b) .. ', ' .. type(c) end
    return 'reached ' .. tostring(a)
end
local calls = {
    { 'open', function(n) return io.open(n) end },
    { 'write', function(n) return io.open(n, 'a') end },
    { 'lines', function(n) return io.lines(n) end },
    { 'input', function(n) return io.input(n) end },
    { 'loadfile', function(n) return loadfile(n) end },
    { 'dofile', function(n) return dofile(n) end },
    { 'searchpath', function(n) return package.searchpath(n, '?') end },
    { 'require', function(n)
        local before = package.path
        package.path = n
        local ok, result = pcall(require, 'outside')
        package.path = before
        return ok and result or nil
    end },
    { 'sendfile', function(n) return httpd.sendfile(n) end },
    { 'sendbelow', function(n) return httpd.sendfile(n, { root = '.' }) end },
    { 'root', function(n) return httpd.sendfile('outside.lua', { root = n:match('^(.*)/') or n }) end },
    { 'rename', function(n) return os.rename(n, 'moved') end },
    { 'renamed', function(n) return os.rename('inside.lua', n) end },
    { 'remove', function(n) return os.remove(n) end },
}
httpd.register_handler('/try', function(env)
    local out = {}
    for _, entry in ipairs(calls) do
        local name, call = entry[1], entry[2]
        for _, n in ipairs(names) do
            out[#out + 1] = name .. ' ' .. n:gsub('%z', '0') .. ' -> ' .. kind(pcall(call, n))
        end
    end
    httpd.write(nil, table.concat(out, '\\n'))
end)
httpd.register_handler('/fine', function(env)
    local file <close> = assert(io.open('sub/../inside.lua'))
    httpd.write(nil, file:read('a') .. require('inside') .. ' ' .. env.SCRIPT_FILENAME .. ' ')
    httpd.write(nil, tostring((select(2, io.popen('id')))))
end)`;

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start(
    {},
    {
      words: ['-r', '$FOLDER/root', '-l', '/', '/app.lua'],
      keeps: true,
      prepare: (folder) => {
        const file = (name: string): string => folder.file(name);
        mkdirSync(file('root/sub'), { recursive: true });
        writeFileSync(file('root/app.lua'), SCRIPT.replaceAll('$FOLDER', folder.path));
        writeFileSync(file('root/inside.lua'), "return 'inside'");
        writeFileSync(file('outside.lua'), "return 'outside'");
        symlinkSync('../outside.lua', file('root/link'));
        symlinkSync('..', file('root/linked'));
        symlinkSync(file('outside.lua'), file('root/absolute'));
      },
    },
  );
});
after(() => gateway.stop());

test('No function that takes a name reaches outside of the root', async () => {
  const { status, text } = await gateway.ask('h2', '/try');
  assert.equal(status, 200, gateway.log);
  const lines = text.split('\n');
  assert.equal(lines.length, NAMES.length * 14);
  // a link is itself a file of the root: the script may remove and rename it, but not its target
  const own = /^(?:remove|rename) (?:link|absolute) |^renamed (?:link|absolute) /;
  for (const line of lines.filter((one) => !own.test(one))) {
    assert.doesNotMatch(line, / -> reached/, line);
    if (/^(?:open|write|remove|rename|renamed|sendfile|sendbelow|root) /.test(line))
      assert.match(line, / -> nil, string, (?:number|string)$/, line);
  }
  assert.equal(readFileSync(gateway.folder.file('outside.lua'), 'utf8'), "return 'outside'");
  assert.ok(!existsSync('/etc/moved'));
});

test('An absolute script name starts at the root, and names inside work', async () => {
  writeFileSync(gateway.folder.file('root/inside.lua'), "return 'inside'");
  const { text } = await gateway.ask('h2', '/fine');
  const [, inside, refusal] = /^(.*) \/app\.lua (.*)$/s.exec(text) ?? [];
  assert.equal(inside, "return 'inside'inside", text);
  assert.match(refusal ?? '', /"id" is not among the allowed commands/);
});
