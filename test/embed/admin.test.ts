/** The admin listener and the forms of the log where the gateway is a part of another program. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer, startGateway } from '../../src/index.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { askAdmin } from '../support/run-gateway.ts';

const MODULE = new URL('./modules/answers.js', import.meta.url);

async function metricsOf(address: string | undefined, holds: RegExp): Promise<string> {
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${address}/metrics`);
    assert.equal(answer.status, 200);
    const text = await answer.text();
    // an exchange is counted a moment after its client has the answer
    if (holds.test(text)) return text;
    assert.ok(tries < 3000, text);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('A server of a function has an admin listener: its address is readable, it counts, and it ends with the server', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lgateway-embed-token-'));
  const { TMPDIR } = process.env;
  process.env['TMPDIR'] = folder;
  const server = await EmbeddedServer.start(() => new Response('hello\n'), { admin: '127.0.0.1:0' });
  const { adminAddress } = server.handle;
  assert.match(adminAddress ?? '', /^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
  assert.equal(await (await fetch(server.url)).text(), 'hello\n');
  const text = await metricsOf(
    adminAddress,
    /^lgateway_requests_total\{mapping="\/",code="2xx",protocol="HTTP\/1\.1"\} 1$/m,
  );
  assert.match(text, /^lgateway_request_duration_seconds_count\{mapping="\/"\} 1$/m);
  const listener = `listener="http://127.0.0.1:${server.port}"`;
  assert.ok(text.includes(`lgateway_connections_accepted_total{${listener}} 1\n`), text);
  assert.equal(await (await fetch(`${adminAddress}/readyz`)).text(), 'ready\n');
  assert.equal(await (await fetch(`${adminAddress}/healthz`)).text(), 'well\n');
  // there is nothing that a token would be for
  assert.equal((await fetch(`${adminAddress}/reload`, { method: 'POST' })).status, 404);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.admin-token')),
    [],
  );
  if (TMPDIR === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = TMPDIR;
  rmSync(folder, { recursive: true });
  await server.handle.reload({ logLevel: 'warn' });
  await assert.rejects(server.handle.reload({ admin: '127.0.0.1:1' }), { code: 'LGW_RESTART' });
  await metricsOf(adminAddress, /^lgateway_reloads_total\{result="failure"\} 1$/m);
  await server.stop();
  await assert.rejects(fetch(`${adminAddress}/metrics`));
});

test('A server of workers and a gateway have one, too, on a unix socket or a port', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lgateway-embed-admin-'));
  try {
    const path = join(folder, 'admin.sock');
    const server = await EmbeddedServer.start(MODULE, { threads: 1, admin: `unix:${path}` });
    assert.equal(server.handle.adminAddress, `unix:${path}`);
    await fetch(server.url);
    const { status, body } = await askAdmin(path, '/metrics');
    assert.equal(status, 200);
    assert.match(body, /^lgateway_workers\{state="serving"\} 1$/m);
    await server.stop();
    assert.ok(!existsSync(path));
    const gateway = await startGateway({
      mappings: [{ prefix: '/', module: MODULE }],
      listen: { address: '127.0.0.1', port: 0 },
      workers: 1,
      admin: '[::1]:0',
      log: () => undefined,
    });
    assert.match(gateway.adminAddress ?? '', /^http:\/\/\[::1\]:\d+$/);
    assert.equal((await fetch(`${gateway.adminAddress}/readyz`)).status, 200);
    await gateway.stop();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('An address of another machine, and what is none, are refused before anything starts', async () => {
  for (const admin of ['192.0.2.1:1', 'here', 'unix:relative', 9443 as unknown as string])
    await assert.rejects(createServer({ address: '127.0.0.1:0', admin }, () => new Response()).start(), {
      code: 'LGW_CONFIG',
      message: /^Option admin is .* and has to be PORT, ADDRESS:PORT with an address of this machine alone/,
    });
  const odd = 'xml' as 'json';
  await assert.rejects(
    createServer({ address: '127.0.0.1:0', logFormat: odd }, () => new Response()).start(),
    { code: 'LGW_CONFIG', message: 'Option logFormat is "xml" and has to be one of text, pino, json' },
  );
});

test('logFormat: messages and lines of requests are JSON, from a function and from workers', async () => {
  for (const handler of [() => new Response('hello\n'), MODULE]) {
    const server = await EmbeddedServer.start(handler, { logFormat: 'pino', accessLog: true, threads: 1 });
    await (await fetch(`${server.url}/method`)).text();
    await server.untilLog(/"msg":"request"/);
    const lines = server.lines.map((line) => JSON.parse(line));
    assert.ok(lines.some(({ msg, source }) => source === 'server' && /^Listening on http/.test(msg)));
    const request = lines.find(({ msg }) => msg === 'request');
    assert.deepEqual([request.level, request.status, request.pid], [30, 200, process.pid]);
    await server.stop();
  }
});
