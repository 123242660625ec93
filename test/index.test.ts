/** The embedding API, startGateway() and its result, inside the test process. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { GatewayError, startGateway } from '../src/index.ts';
import { ask, GatewayFolder } from './support/run-gateway.ts';

let folder: GatewayFolder;
let script: string;
before(() => {
  folder = new GatewayFolder();
  script = folder.file('app.lua');
});
after(() => folder.remove());

const answer = (text: string): string =>
  `local httpd = require 'httpd'
httpd.register_handler('/', function()
    httpd.header{[':status'] = '200'}
    httpd.write(nil, '${text}')
end)`;

test('startGateway() serves, reloads, drains and stops', async () => {
  writeFileSync(script, answer('one'));
  const lines: string[] = [];
  const gateway = await startGateway({
    mappings: [{ prefix: '/', script }],
    certificateFiles: { certificate: folder.certificate, key: folder.key },
    listen: { address: '127.0.0.1', port: 0 },
    workers: 2,
    accessLog: true,
    log: (line) => lines.push(line),
  });
  const port = gateway.addresses[0]?.port ?? 0;
  assert.deepEqual(await ask(folder, port, '/'), { status: 200, body: 'one' });
  writeFileSync(script, answer('two'));
  await gateway.reload();
  while ((await ask(folder, port, '/')).body !== 'two');
  writeFileSync(script, 'nonsense');
  await assert.rejects(gateway.reload(), GatewayError);
  assert.deepEqual(await ask(folder, port, '/'), { status: 200, body: 'two' });
  assert.equal(gateway.counters().length, 2);
  assert.equal(await gateway.drain(), true);
  assert.deepEqual(gateway.addresses, []);
  for (const counters of gateway.counters())
    for (const name of ['exchanges', 'coroutines', 'files', 'pipes'] as const)
      assert.equal(counters[name], 0, name);
  await gateway.stop();
  await assert.rejects(ask(folder, port, '/'), /ECONNREFUSED/);
  assert.ok(lines.some((line) => line.includes(' access GET / ')));
});

test('startGateway() rejects with a GatewayError when a script fails', async () => {
  writeFileSync(script, 'error("no luck")');
  const starting = startGateway({
    mappings: [{ prefix: '/', script }],
    certificateFiles: { certificate: folder.certificate, key: folder.key },
    listen: { port: 0 },
    workers: 1,
  });
  await assert.rejects(starting, (error) => {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'LGW_SCRIPT');
    assert.match(error.message, /app\.lua:1: no luck/);
    return true;
  });
});

test('startGateway() refuses a root without mappings', async () => {
  await assert.rejects(
    startGateway({ root: folder.path }),
    /^GatewayError: The root ".*" needs scripts inside it/,
  );
});

test('Gateway.shared() shows a program what scripts share', async () => {
  writeFileSync(
    script,
    `local httpd = require 'httpd'
local d = httpd.shared('visits')
httpd.register_handler('/', function()
    httpd.write(nil, d:incr('n', 1, 0) .. ' ' .. tostring(d:get('greeting')))
end)`,
  );
  const gateway = await startGateway({
    mappings: [{ prefix: '/', script }],
    certificateFiles: { certificate: folder.certificate, key: folder.key },
    listen: { address: '127.0.0.1', port: 0 },
    workers: 2,
    shared: [{ name: 'visits', bytes: 64 * 1024 }],
    log: () => undefined,
  });
  try {
    const port = gateway.addresses[0]?.port ?? 0;
    const visits = gateway.shared('visits');
    visits.set('n', 41);
    visits.set('greeting', 'hello');
    assert.equal((await ask(folder, port, '/')).body, '42 hello');
    assert.equal(visits.incr('n'), 43);
    assert.deepEqual(visits.keys(), ['n', 'greeting']);
    assert.throws(() => visits.set('n', 'x'.repeat(64 * 1024)), { luaCode: 'limit' });
  } finally {
    await gateway.stop();
  }
});

test('startGateway() rejects when a dictionary cannot be', async () => {
  const starting = startGateway({ listen: { port: 0 }, shared: [{ name: 'visits', bytes: 1 }] });
  await assert.rejects(starting, { name: 'GatewayError', message: /^Size 1 of dictionary "visits"/ });
});
