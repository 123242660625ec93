/** The admin listener by itself: who may ask, what it answers, and what hostile clients get. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type AdminAction, type AdminRead, AdminServer, text } from '../../src/admin/admin-server.ts';
import { readToken, TokenFile } from '../../src/admin/admin-token.ts';
import type { AdminAddress } from '../../src/base/admin-address.ts';
import { createLogger } from '../../src/base/logger.ts';
import { askAdmin } from '../support/run-gateway.ts';

const TOKEN = 'a-token-of-this-test';
const folder = mkdtempSync(join(tmpdir(), 'lgateway-admin-'));
const opened: AdminServer[] = [];
after(() => {
  for (const server of opened) server.close();
  rmSync(folder, { recursive: true });
});

let acted = 0;
let made = 0;
let release: (() => void) | undefined;
const log: string[] = [];

async function open(address: AdminAddress, token: string | 'none' = TOKEN): Promise<AdminAddress> {
  const server = new AdminServer({
    address,
    reads: new Map<string, AdminRead>([
      ['/state', ({ accept }) => text(200, `state for ${accept}`)],
      ['/broken', () => assert.fail('a mistake')],
      ['/made', () => text(200, `made ${++made}`)],
    ]),
    actions: new Map<string, AdminAction>([
      ['/act', async () => text(200, `acted ${++acted}`)],
      ['/wait', () => new Promise((resolve) => (release = () => resolve(text(200, 'waited'))))],
      ['/fail', () => Promise.reject(new Error('no luck'))],
    ]),
    makeToken: token === 'none' ? undefined : () => token,
    logger: createLogger('info', 'test', (line) => log.push(line)),
  });
  opened.push(server);
  return await server.listen();
}

const tcp = await open({ kind: 'tcp', address: '127.0.0.1', port: 0 });
const port = tcp.kind === 'tcp' ? tcp.port : 0;

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

function ask(
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
  host = '127.0.0.1',
  to = port,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ host, port: to, path, method, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        body += piece;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
      );
    });
    call.on('error', reject);
    call.end();
  });
}

/** Sends bytes and resolves to all that comes until the connection is closed. */
function talk(bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    socket.setEncoding('latin1').on('data', (piece: string) => {
      received += piece;
    });
    socket.on('error', () => undefined).on('close', () => resolve(received));
    socket.write(bytes);
  });
}

const BEARER = { authorization: `Bearer ${TOKEN}` };

test('A read of this machine is answered, with its query and without a body for HEAD', async () => {
  const answer = await ask('/state?x=1', { accept: 'text/plain' });
  assert.deepEqual([answer.status, answer.body], [200, 'state for text/plain\n']);
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(answer.headers['connection'], 'close');
  const head = await ask('/state', {}, 'HEAD');
  assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', '11']);
});

test('What is not there gets 404 with what is there, another method 405, and a mistake 500 without its text', async () => {
  const missing = await ask('/metricz');
  assert.equal(missing.status, 404);
  assert.match(missing.body, /there are GET \/state, GET \/broken, GET \/made, POST \/act/);
  const post = await ask('/state', {}, 'POST');
  assert.deepEqual([post.status, post.headers['allow']], [405, 'GET, HEAD']);
  const get = await ask('/act', BEARER);
  assert.deepEqual([get.status, get.headers['allow']], [405, 'POST']);
  const broken = await ask('/broken');
  assert.deepEqual([broken.status, broken.body], [500, 'The log says what went wrong\n']);
  assert.match(log.join('\n'), /GET \/broken of the admin listener failed: a mistake/);
});

test('Names of the listener are accepted, with its port; others, and none, are refused', async () => {
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`])
    assert.equal((await ask('/state', { host })).status, 200, host);
  for (const host of [
    'localhost',
    '127.0.0.1',
    `evil.example:${port}`,
    `localhost.evil.example:${port}`,
    `127.0.0.1:${port + 1}`,
  ]) {
    const { status, body } = await ask('/state', { host });
    assert.deepEqual([status, body], [403, 'The field Host does not name this listener\n'], host);
  }
  assert.match(await talk('GET /state HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 403 /);
});

test('A page of another origin is refused, also with the token', async () => {
  assert.equal((await ask('/state', { origin: `http://localhost:${port}` })).status, 200);
  for (const origin of ['http://evil.example', 'null', `https://localhost:${port}`, 'http://localhost']) {
    const { status } = await ask('/act', { origin, ...BEARER }, 'POST');
    assert.equal(status, 403, origin);
  }
  assert.equal(acted, 0);
});

test('A client of another machine is refused, whatever it brings', async () => {
  const foreign = Object.values(networkInterfaces())
    .flat()
    .find((one) => one !== undefined && !one.internal && one.family === 'IPv4')?.address;
  assert.ok(foreign !== undefined, 'this machine has an address beside loopback');
  // the option takes no such address: a rule of the kernel that redirects could bring such a client all the same
  const everywhere = await open({ kind: 'tcp', address: '0.0.0.0', port: 0 });
  const to = everywhere.kind === 'tcp' ? everywhere.port : 0;
  const headers = { host: `127.0.0.1:${to}`, ...BEARER };
  const refused = await ask('/act', headers, 'POST', foreign, to);
  assert.deepEqual([refused.status, refused.body], [403, 'Only this machine may ask this listener\n']);
  assert.equal((await ask('/state', { host: `127.0.0.1:${to}` }, 'GET', '127.0.0.1', to)).status, 200);
});

test('An action wants the token, and says neither in answers nor in the log what it is', async () => {
  const wrong = [
    {},
    { authorization: TOKEN },
    { authorization: `Basic ${TOKEN}` },
    { authorization: `Bearer ${TOKEN}x` },
    { authorization: `Bearer ${TOKEN.slice(1)}` },
    { authorization: 'Bearer' },
  ];
  for (const headers of wrong)
    assert.equal((await ask('/act', headers as Record<string, string>, 'POST')).status, 403);
  assert.equal(acted, 0);
  const right = await ask('/act', BEARER, 'POST');
  assert.deepEqual([right.status, right.body], [200, 'acted 1\n']);
  assert.doesNotMatch(log.join('\n'), new RegExp(TOKEN));
});

test('One action runs at a time, and one that fails is no end', async () => {
  const waiting = ask('/wait', BEARER, 'POST');
  while (release === undefined) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await ask('/act', BEARER, 'POST')).status, 409);
  release();
  assert.equal((await waiting).body, 'waited\n');
  assert.equal((await ask('/fail', BEARER, 'POST')).status, 500);
  assert.equal((await ask('/act', BEARER, 'POST')).status, 200);
});

test('A body is not read: one beyond 1 KiB or of no known length is refused', async () => {
  const head = `POST /act HTTP/1.1\r\nHost: localhost:${port}\r\nAuthorization: Bearer ${TOKEN}\r\n`;
  assert.match(await talk(`${head}Content-Length: 1024\r\n\r\n${'x'.repeat(1024)}`), /^HTTP\/1\.1 200 /);
  assert.match(await talk(`${head}Content-Length: 1025\r\n\r\n`), /^HTTP\/1\.1 413 /);
  assert.match(await talk(`${head}Transfer-Encoding: chunked\r\n\r\n`), /^HTTP\/1\.1 413 /);
});

test('Heads that are large, slow or malformed end the connection', async () => {
  const start = `GET /state HTTP/1.1\r\nHost: localhost:${port}\r\n`;
  const [large, malformed, slow, smuggled] = await Promise.all([
    talk(`${start}X: ${'x'.repeat(8200)}\r\n\r\n`),
    talk('G@T /state HTTP/1.1\r\n\r\n'),
    talk(start),
    talk(`${start}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`),
  ]);
  assert.match(large, /^HTTP\/1\.1 431 /);
  assert.match(malformed, /^HTTP\/1\.1 400 /);
  assert.match(slow, /^HTTP\/1\.1 408 /);
  assert.match(smuggled, /^HTTP\/1\.1 400 /);
});

test('Of pipelined requests the first is answered and the connection ends', async () => {
  const one = `GET /state HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`;
  const answers = await talk(one.repeat(50));
  assert.equal(answers.match(/HTTP\/1\.1 200 /g)?.length, 1);
});

test('A thousand connections that say nothing leave the listener bounded, and usable when their time is over', async () => {
  const sockets = Array.from({ length: 1000 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  const server = opened[0];
  assert.ok(server !== undefined);
  const gone = Promise.all(sockets.map((socket) => new Promise((resolve) => socket.on('close', resolve))));
  for (const socket of sockets) socket.resume();
  let most = 0;
  const watch = setInterval(async () => {
    most = Math.max(most, await server.connectionCount());
  }, 20);
  await gone;
  clearInterval(watch);
  assert.ok(most > 0 && most <= 32, `${most} connections`);
  assert.equal((await ask('/state')).status, 200);
});

test('Connections that say nothing keep nobody out: the oldest makes room', async () => {
  const sockets = Array.from({ length: 60 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  for (let i = 0; i < 20; i++) assert.equal((await ask('/state')).status, 200);
  for (const socket of sockets) socket.destroy();
});

test('What a crowd reads is made once in a second, in each form, however its Accept is written', async () => {
  const before = made;
  const held = Array.from({ length: 12 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  await Promise.all(held.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  const start = performance.now();
  for (let i = 0; i < 40; i++)
    assert.equal((await ask('/made', { accept: `text/plain;q=0.${i + 1}, x/${i}` })).status, 200);
  const seconds = Math.floor((performance.now() - start) / 1000) + 1;
  assert.ok(made - before <= seconds, `made ${made - before} times in ${seconds} s`);
  assert.equal((await ask('/made', { accept: 'application/openmetrics-text' })).status, 200);
  for (const socket of held) socket.destroy();
  await Promise.all(held.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
  while (((await opened[0]?.connectionCount()) ?? 0) > 0)
    await new Promise((resolve) => setTimeout(resolve, 10));
  const alone = made;
  for (let i = 0; i < 3; i++) await ask('/made');
  assert.equal(made, alone + 3);
});

test('A unix socket is for its owner alone and needs no token; a web page may not ask through it', async () => {
  const path = join(folder, 'admin.sock');
  await open({ kind: 'unix', path }, 'none');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal((await askAdmin(path, '/state', { headers: { host: 'any.name' } })).status, 200);
  assert.equal((await askAdmin(path, '/act', { method: 'POST' })).status, 200);
  assert.equal((await askAdmin(path, '/state', { headers: { origin: 'http://localhost' } })).status, 403);
  opened.at(-1)?.close();
  assert.equal(existsSync(path), false);
});

test('A socket file that a killed process has left is replaced, one in use or another file is not', async () => {
  const path = join(folder, 'stale.sock');
  const living = createServer().listen(path);
  await new Promise((resolve) => living.once('listening', resolve));
  await assert.rejects(open({ kind: 'unix', path }), { code: 'LGW_LISTEN' });
  living.close();
  const file = join(folder, 'no-socket');
  writeFileSync(file, 'kept');
  await assert.rejects(open({ kind: 'unix', path: file }), { code: 'LGW_LISTEN', message: /--admin/ });
  assert.equal(readFileSync(file, 'utf8'), 'kept');
});

test('The token of a run is written for its owner alone, never through a link, and removed', () => {
  const path = join(folder, 'run.admin-token');
  const target = join(folder, 'target');
  writeFileSync(target, 'kept');
  symlinkSync(target, path);
  const first = new TokenFile(path);
  assert.equal(readFileSync(target, 'utf8'), 'kept');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.match(first.token, /^[\w-]{43}$/);
  assert.equal(readFileSync(path, 'utf8'), `${first.token}\n`);
  const second = new TokenFile(path);
  assert.notEqual(second.token, first.token);
  first.remove();
  assert.equal(readFileSync(path, 'utf8'), `${second.token}\n`, 'that of another run stays');
  second.remove();
  assert.equal(existsSync(path), false);
  assert.throws(() => new TokenFile(join(folder, 'none', 'x')), { code: 'LGW_ADMIN_TOKEN' });
});

test('A token of the operator has 16 to 1024 printable characters', () => {
  const path = join(folder, 'own-token');
  for (const [content, isToken] of [
    ['x'.repeat(16), true],
    [`  ${'x'.repeat(1024)}\n`, true],
    ['x'.repeat(15), false],
    ['x'.repeat(1025), false],
    ['x'.repeat(5000), false],
    [`${'x'.repeat(16)} y`, false],
    ['ä'.repeat(16), false],
  ] as const) {
    writeFileSync(path, content);
    chmodSync(path, 0o600);
    if (isToken) assert.equal(readToken(path), content.trim());
    else
      assert.throws(() => readToken(path), { code: 'LGW_ADMIN_TOKEN' }, JSON.stringify(content.slice(0, 20)));
  }
  assert.throws(() => readToken(join(folder, 'absent')), { code: 'LGW_ADMIN_TOKEN' });
});
