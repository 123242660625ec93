/**
 * The sandbox opens no file in any way: the test calls every function with file names and watches every call that opens a file.
 */
import assert from 'node:assert/strict';
import childProcess from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { test } from 'node:test';
import { testCertificate } from '../support/certificate.ts';
import { ScriptHarness } from '../support/script-harness.ts';
import { tlsUpstream } from '../support/upstream.ts';

const WATCHED = [
  'access accessSync createReadStream createWriteStream lstat lstatSync mkdir mkdirSync mkdtemp mkdtempSync open openSync',
  'opendir opendirSync readFile readFileSync readdir readdirSync readlink readlinkSync realpath realpathSync',
  'rename renameSync rmdir rmdirSync stat statSync symlink unlink unlinkSync writeFile writeFileSync',
]
  .join(' ')
  .split(' ');
const STARTS = ['spawn', 'spawnSync', 'exec', 'execSync', 'execFile', 'execFileSync', 'fork'];

/** Runs `use`; resolves with the calls of node:fs and node:child_process made meanwhile, except those that load modules. */
async function callsDuring(use: () => Promise<void>): Promise<string[]> {
  const calls: string[] = [];
  const restore: (() => void)[] = [];
  for (const [module, names] of [
    [fs, WATCHED],
    [childProcess, STARTS],
  ] as const) {
    const functions = module as unknown as Record<string, (...values: unknown[]) => unknown>;
    for (const name of names) {
      const native = functions[name] as (...values: unknown[]) => unknown;
      functions[name] = (...values: unknown[]): unknown => {
        const what = String(values[0]);
        // the gateway itself reads the clock of the thread
        if (!what.includes('/node_modules/') && !what.startsWith('/proc/thread-self/'))
          calls.push(`${name} ${what}`);
        return native.apply(module, values);
      };
      restore.push(() => {
        functions[name] = native;
      });
    }
  }
  syncBuiltinESMExports();
  try {
    await use();
  } finally {
    for (const undo of restore) undo();
    syncBuiltinESMExports();
  }
  return calls;
}

/** Calls every reachable function with file names, in the place of every argument and option. */
const TRY_ALL = `local httpd = require 'httpd'
  local names = { 'script.lua', './script.lua', '/etc/passwd', 'nowhere', '../x', '/proc/self/environ', 'file:///etc/passwd', 'new.txt' }
  local seen, functions = {}, {}
  local function visit(value)
    if type(value) == 'function' then if not seen[value] then seen[value] = true functions[#functions + 1] = value end return end
    if type(value) ~= 'table' or seen[value] then return end
    seen[value] = true
    for k, v in pairs(value) do visit(k) visit(v) end
    local meta = getmetatable(value)
    if type(meta) == 'table' then visit(meta) end
  end
  local skip = { [httpd.exit or 0] = true, [httpd.redirect or 0] = true, [error] = true, [warn] = true, [print] = true, [httpd.log or 0] = true, [httpd.kill or 0] = true,
    [coroutine.yield] = true, [httpd.sleep] = true, [httpd.close] = true, [httpd.write] = true, [httpd.header] = true,
    [httpd.timer] = true, [httpd.read] = true }
  local calls = 0
  local function try_all()
    skip[handle_request], skip[sleep] = true, true
    visit(_G) visit(getmetatable('')) visit(httpd) visit(httpd.shared('x')) visit(getmetatable(httpd.json.array()))
    for _, name in ipairs{ 'read_file', 'write_file', 'http_get', 'sleep', 'env', 'time', 'log' } do visit(_G[name]) end
    for _, f in ipairs(functions) do if not skip[f] then
      for _, name in ipairs(names) do
        calls = calls + 1
        pcall(f, name) pcall(f, name, 'r') pcall(f, name, name) pcall(f, nil, name) pcall(f, name, { root = '/' })
        pcall(f, { root = name, path = name }) pcall(f, name, '?;' .. name)
      end
    end end
  end
  local tries = {}
  local function fetch_all(url)
    for _, option in ipairs{ 'ca', 'cert', 'key' } do for _, name in ipairs(names) do
      local tls = { verify = false, [option] = name }
      if option ~= 'ca' then tls.cert = tls.cert or name tls.key = tls.key or name end
      local r, message, code = httpd.fetch(url, { tls = tls })
      tries[#tries + 1] = tostring(r) .. ' ' .. tostring(code) .. ' ' .. tostring(message)
    end end
    for _, name in ipairs(names) do for _, url in ipairs{ name, 'file://' .. name, 'unix:' .. name, 'http+unix://' .. name } do
      pcall(httpd.fetch, url) pcall(httpd.fetch, url, { body = name })
    end end
  end`;

test('No function of the sandbox opens, looks at, makes or removes a file, and none starts a program', async () => {
  const upstream = await tlsUpstream((_request, response) => response.end('ok'));
  const harness = await ScriptHarness.load(
    `${TRY_ALL}
    function handle_request(method, path)
      if path == '/all' then try_all() return 200, 'text/plain', calls .. ' ' .. type(io) .. type(debug) .. type(package) end
      if path == '/warm' then httpd.fetch('${upstream.url}', { tls = { verify = false } }) return 200, 'text/plain', 'warm' end
      fetch_all('${upstream.url}')
      return 200, 'text/plain', table.concat(tries, '\\n')
    end`,
    { rights: { sandboxed: true, connect: ['all'] } },
  );
  try {
    await harness.request('/warm');
    let all = '';
    let fetched = '';
    const calls = await callsDuring(async () => {
      all = (await harness.request('/all')).text;
      fetched = (await harness.request('/fetch')).text;
    });
    assert.deepEqual(calls, []);
    assert.match(all, /^\d{3,} nilnilnil$/);
    const lines = fetched.split('\n');
    assert.equal(lines.length, 24);
    // existing and missing files give the same result
    for (const line of lines)
      assert.match(line, /^nil denied Cannot open "[^"]+": a script in the sandbox opens no files$/);
  } finally {
    await harness.close();
    await upstream.close();
  }
});

test('The functions of luars for files say in the sandbox that there are none', async () => {
  const harness = await ScriptHarness.load(
    `function handle_request()
      local content, why = read_file('script.lua')
      local written, refused = write_file('new.txt', 'x')
      return 200, 'text/plain', tostring(content) .. ' ' .. why .. '\\n' .. tostring(written) .. ' ' .. refused
    end`,
    { rights: { sandboxed: true } },
  );
  try {
    assert.equal(
      (await harness.request('/')).text,
      'nil read_file error: script.lua: a script in the sandbox opens no files\n' +
        'nil write_file error: new.txt: a script in the sandbox opens no files',
    );
    assert.throws(() => harness.readFile('new.txt'));
  } finally {
    await harness.close();
  }
});

test('PEM texts are taken in the sandbox', async () => {
  const { cert, key } = testCertificate();
  const upstream = await tlsUpstream((_request, response) => response.end('ok'));
  const harness = await ScriptHarness.load(
    `function handle_request()
      local httpd = require 'httpd'
      local r, why = httpd.fetch('${upstream.url}', { tls = { ca = [[${cert}]], cert = [[${cert}]], key = [[${key}]] } })
      return 200, 'text/plain', r and httpd.read(r, 'a') or why
    end`,
    { rights: { sandboxed: true, connect: ['127.0.0.1'] } },
  );
  try {
    assert.equal((await harness.request('/')).text, 'ok');
  } finally {
    await harness.close();
    await upstream.close();
  }
});
