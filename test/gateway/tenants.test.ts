/** Mappings with rights and limits of their own, each against the others: what one has, another neither gets nor loses. */
import { deepEqual, equal, match, notEqual, rejects } from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Gateway, type GatewayMapping, startGateway } from '../../src/index.ts';
import { testCertificate } from '../support/certificate.ts';

/** Each answers what a tenant tries. */
const SCRIPT = `local httpd = require 'httpd'
local calls = 0
local function try(name, run)
    httpd.register_handler(name, function(env)
        local answer = table.pack(pcall(run, env.QUERY_INFO))
        for i = 1, answer.n do answer[i] = tostring(answer[i]) end
        httpd.header{[':status'] = '200'}
        httpd.write(nil, table.concat(answer, ' ', 2, answer.n))
    end)
end
local function read(name)
    local file <close> = assert(io.open(name))
    return file:read 'a'
end
try('/count', function() calls = calls + 1 return calls end)
try('/read', read)
try('/load', function(name) return loadfile(name) end)
try('/require', function(name) package.path = name .. ';' .. package.path return require 'stolen' end)
try('/rename', function(name) return os.rename(name, '/mine') end)
try('/write', function(name) return assert(io.open(name, 'w')):write 'x' end)
try('/run', function(command)
    local pipe <close> = assert(io.popen((command:gsub('+', ' '))))
    return pipe:read 'a'
end)
try('/execute', function(command) return os.execute((command:gsub('+', ' '))) end)
try('/env', function(name) return os.getenv(name) end)
try('/fetch', function(port) return (select(3, httpd.fetch('http://127.0.0.1:' .. port .. '/'))) or 'fetched' end)
try('/spin', function(millions)
    for i = 1, millions * 1000000 do end
    return 'done'
end)
try('/fill', function(mib) return #('x'):rep(mib * 1048576) end)
try('/packages', function()
    for _, name in ipairs{'lgateway.options', 'lgateway.session', 'lgateway.ratelimit', 'lfs', 'codec'} do require(name) end
    return (require('shared_part'))
end)
try('/keep', function(count)
    kept = {}
    for i = 1, count do
        local file, message = io.open '/secret.txt'
        if not file then return #kept .. ' ' .. message end
        kept[i] = file
    end
    return #kept
end)`;

const SANDBOXED = `function handle_request(method, path)
    return 200, 'text/plain', tostring(io) .. ' ' .. tostring(os.getenv)
end`;

const folder = mkdtempSync(join(tmpdir(), 'lgateway-tenants-'));
const at = (...names: string[]): string => join(folder, ...names);
const upstream = createServer((_request, response) => response.end('here'));
let gateway: Gateway;
let port = 0;

for (const tenant of ['one', 'two']) {
  mkdirSync(at(tenant, 'lua'), { recursive: true });
  writeFileSync(at(tenant, 'app.lua'), SCRIPT);
  writeFileSync(at(tenant, 'lua', 'shared_part.lua'), `return '${tenant}'`);
  writeFileSync(at(tenant, 'secret.txt'), `secret of ${tenant}`);
}
writeFileSync(at('two', 'stolen.lua'), 'return "stolen"');
writeFileSync(at('one', 'boxed.lua'), SANDBOXED);
symlinkSync(at('two'), at('one', 'out'));
symlinkSync(at('two', 'secret.txt'), at('one', 'link.txt'));
symlinkSync('../two', at('one', 'up'));

const mappings = (one: Partial<GatewayMapping> = {}): GatewayMapping[] => [
  {
    prefix: '/one',
    script: '/app.lua',
    root: at('one'),
    rights: { commands: ['cat'], variables: ['TENANT_ONE'], connect: ['all'] },
    limits: { cpuLimitMs: 5000, mappingSharePercent: 2, timeLimitMs: 20_000 },
    ...one,
  } as GatewayMapping,
  {
    prefix: '/two',
    script: '/app.lua',
    root: at('two'),
    rights: { connect: ['none'] },
    limits: { cpuLimitMs: 50, memoryBytesMax: 16 * 2 ** 20 },
  },
  // the same script in the same root, with fewer rights
  { prefix: '/again', script: '/app.lua', root: at('one') },
  { prefix: '/boxed', script: '/boxed.lua', root: at('one'), rights: { sandboxed: true } },
];

before(async () => {
  process.env['TENANT_ONE'] = 'of one';
  upstream.listen(0, '127.0.0.1');
  const { certPath, keyPath } = testCertificate();
  gateway = await startGateway({
    listen: { address: '127.0.0.1', port: 0 },
    cleartext: { address: '127.0.0.1', port: 0 },
    certificateFiles: { certificate: certPath, key: keyPath },
    workers: 1,
    mappings: mappings(),
    log: () => undefined,
  });
  port = gateway.addresses[1]?.port ?? 0;
});
after(async () => {
  await gateway?.stop();
  upstream.close();
  rmSync(folder, { recursive: true, force: true });
});

async function said(target: string): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${port}${target}`)).text();
}

test('A script reaches no file of the root of another, by no name and no link', async () => {
  equal(await said('/one/read?/secret.txt'), 'secret of one');
  equal(await said('/two/read?/secret.txt'), 'secret of two');
  const names = [
    at('two', 'secret.txt'),
    '../two/secret.txt',
    '/../two/secret.txt',
    'out/secret.txt',
    'up/secret.txt',
    'link.txt',
    '/proc/self/cwd/secret.txt',
  ];
  for (const name of names) {
    // a link itself lies in the root, and may be renamed
    for (const way of ['read', 'write', 'load', ...(name === 'link.txt' ? [] : ['rename'])])
      match(
        await said(`/one/${way}?${name}`),
        /No such file|Permission denied|leads out of the root/,
        `${way} ${name}`,
      );
  }
  for (const path of [`${at('two')}/?.lua`, 'out/?.lua', '../two/?.lua'])
    match(await said(`/one/require?${path}`), /module 'stolen' not found/, path);
  equal(await said('/two/read?/secret.txt'), 'secret of two');
});

test('A script without allow-run starts no program, though another of the same root may', async () => {
  equal(await said('/one/run?cat+secret.txt'), 'secret of one');
  for (const mapping of ['/two', '/again'])
    for (const way of ['run', 'execute'])
      match(await said(`${mapping}/${way}?cat+secret.txt`), /"cat" is not among the allowed commands/);
  match(await said('/one/run?ls'), /"ls" is not among the allowed commands/);
});

test('Variables and places to connect to are those of the mapping', async () => {
  const { port: free } = upstream.address() as AddressInfo;
  deepEqual(
    await Promise.all(['/one', '/two', '/again'].map((mapping) => said(`${mapping}/env?TENANT_ONE`))),
    ['of one', 'nil', 'nil'],
  );
  equal(await said(`/one/fetch?${free}`), 'fetched');
  equal(await said(`/two/fetch?${free}`), 'denied');
  match(await said('/boxed/'), /^nil nil$/);
});

test('Two mappings of one script have a state each', async () => {
  deepEqual(
    [await said('/one/count'), await said('/one/count'), await said('/again/count')],
    ['1', '2', '1'],
  );
});

test('Packaged modules and the own lua/ are found in every root', async () => {
  equal(await said('/one/packages'), 'one');
  equal(await said('/two/packages'), 'two');
});

test('Processor time and memory are those of the mapping', async () => {
  equal(await said('/one/spin?100'), 'done');
  notEqual(await said('/two/spin?100'), 'done');
  equal(await said('/one/fill?32'), String(32 << 20));
  match(await said('/two/fill?32'), /not enough memory/);
  equal(await said('/two/read?/secret.txt'), 'secret of two');
});

test('A mapping takes its own share of what the worker has, and leaves the rest', async () => {
  match(await said('/one/keep?100'), /^10 .*10 files are open for "\/one" and its share is 10 of 512/);
  equal(await said('/two/keep?100'), '100');
});

test('A reload applies other rights and limits of a mapping, and to that one only', async () => {
  const changed = {
    rights: { commands: [], variables: [] },
    limits: { cpuLimitMs: 50, mappingSharePercent: 4 },
  };
  await gateway.reload({ mappings: mappings(changed as Partial<GatewayMapping>) });
  match(await said('/one/run?cat+secret.txt'), /not among the allowed commands/);
  equal(await said('/one/env?TENANT_ONE'), 'nil');
  notEqual(await said('/one/spin?100'), 'done');
  match(await said('/one/keep?100'), /its share is 20 of 512/);
  equal(await said('/two/read?/secret.txt'), 'secret of two');
  await gateway.reload({ mappings: mappings() });
  equal(await said('/one/env?TENANT_ONE'), 'of one');
});

test('A reload changes the root and the size of memory of one mapping', async () => {
  await gateway.reload({ mappings: mappings({ root: at('two') }) });
  equal(await said('/one/read?/secret.txt'), 'secret of two');
  await gateway.reload({ mappings: mappings({ limits: { memoryBytesMax: 24 * 2 ** 20 } }) });
  equal(await said('/one/read?/secret.txt'), 'secret of one');
  match(await said('/one/fill?32'), /not enough memory/);
  await gateway.reload({ mappings: mappings() });
  equal(await said('/one/fill?32'), String(32 << 20));
});

test('A root that is no folder ends the start by name', async () => {
  const options = { listen: { address: '127.0.0.1', port: 0 }, workers: 1, log: () => undefined };
  await rejects(
    startGateway({ ...options, mappings: [{ prefix: '/', script: 'app.lua', root: at('none') }] }),
    /Cannot use ".*none" as a virtual root: ENOENT/,
  );
});

test('A program is refused rights that mean nothing to a module, and values that are none', async () => {
  const script = { prefix: '/a', script: 'app.lua' };
  const module = { prefix: '/m', module: 'm.mjs' };
  for (const [mapping, message] of [
    [
      { ...module, root: '/srv' },
      'Option root of "/m" binds scripts in Lua only: a module has all that Node has',
    ],
    [{ ...module, rights: {} }, /^Option rights of "\/m" binds/],
    [{ ...module, mode: 'luars' }, /^Option mode of "\/m" binds/],
    [
      { ...module, limits: { cpuLimitMs: 1 } },
      /^Option limits of "\/m" has no limit "cpuLimitMs"; it has timeLimitMs/,
    ],
    [{ ...module, limits: { memoryBytesMax: 1 } }, /^Option limits of "\/m" has no limit "memoryBytesMax"/],
    [{ ...script, limits: { idleTimeoutMs: 1 } }, /^Option limits of "\/a" has no limit "idleTimeoutMs"/],
    [{ ...script, limits: { cpuLimitMs: 0 } }, /^Limit cpuLimitMs of "\/a" is 0 and has to be above/],
    [
      { ...script, limits: { memoryBytesMax: 1 } },
      /^Limit memoryBytesMax of "\/a" is 1 and has to be a number from/,
    ],
    [{ ...script, limits: { mappingSharePercent: 101 } }, /^Limit mappingSharePercent of "\/a" is 101/],
    [{ ...script, rights: { connect: ['a b'] } }, /^Right connect of "\/a" is \["a b"\]/],
    [
      { ...script, rights: { comands: [] } },
      /^Option rights of "\/a" has no right "comands"; it has luaPath/,
    ],
    [{ ...script, root: '' }, /^Option root of "\/a" is "" and has to be the name of a directory/],
  ] as const)
    await rejects(startGateway({ mappings: [mapping as unknown as GatewayMapping] }), {
      code: 'LGW_CONFIG',
      message,
    });
  const sizes = Array.from({ length: 16 }, (_, i) => ({
    prefix: `/${i}`,
    script: 'app.lua',
    limits: { memoryBytesMax: (16 + i) * 2 ** 20 },
  }));
  await rejects(
    startGateway({ mappings: sizes }),
    /has 16 sizes of memory beside that of all, and the limit is 15/,
  );
});
