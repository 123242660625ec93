/** `-l /api http://HOST:PORT` with the real program: requests, the log, a reload and a drain. */
import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { answering, type RecordingBackend, recordingBackend } from '../support/recording-backend.ts';
import { GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { deadPort } from '../support/upstream.ts';

const HELLO = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
const held: Socket[] = [];
let folder: GatewayFolder;
let one: RecordingBackend;
let other: RecordingBackend;
let gateway: GatewayProcess;

before(async () => {
  folder = new GatewayFolder();
  one = await recordingBackend(({ head }, socket) => {
    if (head.startsWith('GET /api/hold')) held.push(socket);
    else socket.write(HELLO);
  });
  other = await recordingBackend(answering(HELLO), { path: folder.file('app.sock') });
  const dead = await deadPort();
  gateway = await new GatewayProcess(folder, [
    ...['-w', '1', '--access-log', '--proxy-host', 'target'],
    ...['-l', '/api', one.url],
    ...['-l', '/both', `${one.url}/v1,unix:${folder.file('app.sock')}:/v2`],
    ...['-l', '/dead', `http://127.0.0.1:${dead}`],
  ]).ready();
});

after(async () => {
  await gateway.stop();
  await Promise.all([one.close(), other.close()]);
  folder.remove();
});

function ask(path: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const session = connect(`https://127.0.0.1:${gateway.port}`, { rejectUnauthorized: false });
    session.on('error', reject);
    const stream = session.request({ ':path': path });
    let status = 0;
    let body = '';
    stream.on('error', () => undefined);
    stream.on('response', (head) => {
      status = Number(head[':status']);
    });
    stream.on('data', (chunk) => {
      body += chunk;
    });
    stream.on('close', () => {
      session.close();
      resolve({ status, body });
    });
  });
}

test('A mapping passes requests on, and the log names the server', async () => {
  assert.deepEqual(await ask('/api/x?y=%20'), { status: 200, body: 'hello' });
  assert.match(
    one.requests.at(-1)?.head ?? '',
    /^GET \/api\/x\?y=%20 HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n/,
  );
  await gateway.until(() => gateway.stderr.includes(`upstream=http://127.0.0.1:${one.port}`));
});

test('Each of several targets is asked, and their paths take the place of the prefix', async () => {
  const wasAsked = (): boolean =>
    /^GET \/v1\/a\?b /.test(one.requests.at(-1)?.head ?? '') &&
    /^GET \/v2\/a\?b /.test(other.requests.at(-1)?.head ?? '');
  // chance chooses: that one of two is never asked comes once in 500 million times
  for (let i = 0; i < 30 && !wasAsked(); i++) assert.equal((await ask('/both/a?b')).status, 200);
  assert.ok(wasAsked());
  // where the path cannot be exchanged without reading it otherwise than the router has, it is refused
  assert.equal((await ask('/%62oth/a')).status, 400);
});

test('A server that is down gives 502 with the id that the log has', async () => {
  const { status, body } = await ask('/dead');
  assert.equal(status, 502);
  const id = /Error id: ([\w-]+)/.exec(body)?.[1];
  assert.ok(id !== undefined, body);
  await gateway.until(() => new RegExp(`ECONNREFUSED.*${id}`).test(gateway.stderr));
});

test('A reload and a drain let a request finish that is passed on', async () => {
  const first = ask('/api/hold');
  await until(() => held.length === 1);
  gateway.signal('SIGHUP');
  await gateway.until(() => gateway.stderr.includes('Reloaded'));
  const second = ask('/api/hold');
  await until(() => held.length === 2);
  gateway.signal('SIGTERM');
  for (const socket of held) socket.write(HELLO);
  assert.deepEqual([(await first).body, (await second).body], ['hello', 'hello']);
  assert.equal((await gateway.ended).code, 0);
});

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, 'it happens in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
