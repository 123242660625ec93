/** Answers that come early, without a body, in HTTP/1.0 or instead of an upgrade, and what they do to the connection to the server. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { connectH2, fetchH2 } from '../support/h2-client.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { type RecordingBackend, recordingBackend } from '../support/recording-backend.ts';
import { waitFor } from '../support/test-front-end.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

const nothing = (): void => undefined;

let front: ProxyFront;
let backend: RecordingBackend;
/** What the server does with a request that has come whole, and with a head. */
let answer: (head: string, socket: Socket) => void = nothing;
let begin: (head: string, socket: Socket) => void = nothing;

before(async () => {
  // without TLS the end of a connection is what the client sees
  front = await startProxyFront({ cleartext: true });
  backend = await recordingBackend(({ head }, socket) => answer(head, socket), {
    begun: (head, socket) => begin(head, socket),
  });
  front.passTo([backend.url], { retries: 0 });
});

after(async () => {
  await backend.close();
  await front.stop();
});

/** What a client gets that sends these bytes, until the connection ends or `enough`. */
async function exchange(bytes: string, enough: (text: string) => boolean = () => false): Promise<string> {
  const socket = connect({ port: front.port, host: '127.0.0.1', allowHalfOpen: true });
  let text = '';
  let failed = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    if (enough(text)) socket.destroy();
  });
  socket.on('end', () => socket.end());
  socket.on('error', (error: NodeJS.ErrnoException) => {
    failed = ` ${error.code}`;
  });
  socket.write(bytes, 'latin1');
  await new Promise((resolve) => socket.once('close', resolve));
  return text + failed;
}

const get = (version: string, fields = ''): string => `GET / HTTP/${version}\r\nHost: a\r\n${fields}\r\n`;
/** The race of the answer with the body is won and lost in these. */
const EARLY_ROUNDS = 30;
const LARGE = Buffer.alloc(400_000);
const isWhole = (text: string): boolean => text.endsWith('\r\n\r\nok');

test('An answer that comes before the body was sent reaches its client, and the connection is not used again', async () => {
  answer = nothing;
  begin = (_head, socket) => void socket.write(OK);
  const session = await connectH2(front.port, 'http');
  for (const early of ['answered', 'answered and closed']) {
    if (early !== 'answered')
      begin = (_head, socket) =>
        void socket.end('HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno');
    const connections = backend.connections();
    const stream = session.request({ ':path': '/', ':method': 'POST' }, { endStream: false });
    stream.on('error', nothing);
    stream.write(Buffer.alloc(1000));
    const [headers] = await once(stream, 'response');
    assert.equal(headers[':status'], early === 'answered' ? 200 : 413);
    stream.close(8);
    await waitFor(() => backend.open() === 0, 'the connection to the server to end');
    assert.equal(backend.connections(), connections + 1);
  }
  session.destroy();
  begin = nothing;
});

const EARLY_ENDS: Readonly<
  Record<string, { readonly size: number; readonly end: (socket: Socket, answer: string) => void }>
> = {
  'ends its side': { size: 300_000, end: (socket, answer) => void socket.end(answer) },
  // what it has not read makes the system reset the connection
  'closes with a reset': {
    size: 2,
    end: (socket, answer) => void socket.pause().write(answer, () => socket.destroy()),
  },
};

for (const [name, { size, end }] of Object.entries(EARLY_ENDS))
  test(`A large body whose server refuses it and ${name} gets the refusal, whole`, async (t) => {
    t.after(() => {
      begin = nothing;
    });
    const head = `HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: ${size}\r\n\r\n`;
    begin = (_head, socket) => end(socket, head + 'n'.repeat(size));
    for (let round = 0; round < EARLY_ROUNDS; round++) {
      const session = await connectH2(front.port, 'http');
      const told = await fetchH2(session, { ':path': '/', ':method': 'POST' }, LARGE);
      assert.deepEqual([told.status, told.body.length], [413, size], `round ${round}`);
      session.destroy();
    }
    await waitFor(() => backend.open() === 0, 'the connections to the server to end');
    await front.whenPassed();
  });

test('Expect: 100-continue is answered by the gateway, and the server gets the body without it', async () => {
  answer = (_head, socket) => void socket.write(OK);
  const text = await exchange(
    'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody',
  );
  assert.match(text, /^HTTP\/1\.1 (?:100 Continue\r\n\r\nHTTP\/1\.1 )?200 OK\r\n/);
  const { head, body } = backend.requests.at(-1) ?? assert.fail('it arrives');
  assert.doesNotMatch(head, /expect/i);
  assert.equal(body, 'body');
});

test('An answer to HEAD has its length and no body, whatever the server sends behind it', async () => {
  for (const sends of ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n', OK]) {
    answer = (_head, socket) => void socket.write(sends);
    const text = await exchange('HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match(text, /\r\ncontent-length: 2\r\n/i);
    assert.ok(text.endsWith('\r\n\r\n'));
    answer = (_head, socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfresh');
    assert.ok((await exchange(get('1.1', 'Connection: close\r\n'))).endsWith('fresh'));
  }
});

test('Clients of HTTP/1.0 get no informational heads and no chunks; what breaks off does not end in order', async () => {
  answer = (_head, socket) =>
    void socket.write(
      `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n`,
    );
  const text = await exchange(get('1.0'));
  assert.match(text, /^HTTP\/1\.[01] 200 /);
  assert.doesNotMatch(text, /chunked|103|x-sum/i);
  assert.ok(isWhole(text), text);
  answer = (_head, socket) =>
    void socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n', () =>
      socket.destroy(),
    );
  assert.match(await exchange(get('1.0')), /ECONNRESET$/);
});

test('A server of HTTP/1.0 is used again only where it says so', async () => {
  for (const [fields, kept] of [
    ['Content-Length: 2\r\n', false],
    ['Content-Length: 2\r\nConnection: keep-alive\r\n', true],
    ['Content-Length: 2\r\nConnection: close\r\n', false],
  ] as const) {
    answer = (_head, socket) => void socket.write(`HTTP/1.0 200 OK\r\n${fields}\r\nok`);
    const connections = backend.connections();
    for (let i = 0; i < 2; i++) assert.ok(isWhole(await exchange(get('1.1', 'Connection: close\r\n'))));
    // what an earlier test has left may be used first
    assert.ok(kept ? backend.connections() <= connections + 1 : backend.connections() > connections, fields);
    await waitFor(() => kept || backend.open() === 0, 'the connections to end');
  }
});

test('A server that says close is not used again', async () => {
  answer = (_head, socket) =>
    void socket.write('HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 2\r\n\r\nok');
  assert.ok(isWhole(await exchange(get('1.1', 'Connection: close\r\n'))));
  await waitFor(() => backend.open() === 0, 'the connection to end');
});

const UPGRADE = 'Connection: Upgrade\r\nUpgrade: echo\r\n';
const SWITCHES = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n';

test('What either side sends with the change of protocols reaches the other', async () => {
  answer = nothing;
  let sent = '';
  begin = (_head, socket) => {
    socket.write(`${SWITCHES}at once`);
    socket.on('data', (bytes) => {
      sent += bytes.toString('latin1');
      if (sent.endsWith('behind the head')) socket.end(' and the end');
    });
  };
  const text = await exchange(`${get('1.1', UPGRADE)}behind the head`);
  assert.match(text, /^HTTP\/1\.1 101 [\s\S]*\r\n\r\nat once and the end$/);
  begin = nothing;
  await front.whenPassed();
});

test('A server that changes over to what nobody has offered gives 502, and one that declines is an answer like others', async () => {
  answer = (_head, socket) => void socket.write(SWITCHES.replaceAll('echo', 'other'));
  const closing = (text: string): boolean => /\r\n\r\n[\s\S]*<\/html>\n?$/.test(text);
  assert.match(await exchange(get('1.1', UPGRADE), closing), /^HTTP\/1\.1 502 /);
  answer = (_head, socket) => void socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
  assert.match(await exchange(get('1.1', UPGRADE), closing), /^HTTP\/1\.1 502 /);
  answer = (_head, socket) => void socket.write(OK);
  const before = backend.requests.length;
  const text = await exchange(`${get('1.1', UPGRADE)}${get('1.1', 'Connection: close\r\n')}`);
  // bytes behind an offer that was declined are the next request
  assert.equal(text.split('HTTP/1.1 200 OK').length, 3);
  assert.equal(backend.requests.length, before + 2);
});

test('A change to another version of HTTP or to TLS is offered to no server, and refused where a server makes it', async () => {
  for (const [offer, offered] of [
    ['h2c', undefined],
    ['H2C', undefined],
    ['h2c, HTTP/2.0 , TLS/1.0', undefined],
    ['HTTP', undefined],
    ['h2c, echo, tls', 'echo'],
    ['echo,websocket', 'echo, websocket'],
  ] as const) {
    answer = (_head, socket) => void socket.write(OK);
    const fields = `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${offer}\r\nHTTP2-Settings: AAMAAABk\r\n`;
    assert.ok(isWhole(await exchange(get('1.1', fields), isWhole)));
    const { head } = backend.requests.at(-1) ?? assert.fail('it arrives');
    assert.equal(/\r\nUpgrade: (.*)\r\n/i.exec(head)?.[1], offered);
    assert.equal(/\r\nConnection: (.*)\r\n/i.exec(head)?.[1], offered === undefined ? undefined : 'Upgrade');
    assert.doesNotMatch(head, /http2-settings/i);
  }
  answer = (_head, socket) => void socket.write(SWITCHES.replaceAll('echo', 'h2c'));
  const closing = (text: string): boolean => /\r\n\r\n[\s\S]*<\/html>\n?$/.test(text);
  const fields = 'Connection: Upgrade\r\nUpgrade: h2c, echo\r\n';
  assert.match(await exchange(get('1.1', fields), closing), /^HTTP\/1\.1 502 /);
});
