/** Requests of HTTP/2 that could become two, or others, on the way to a server of HTTP/1.1: refused, and nothing of them arrives. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { block, dataFrame, END_BOTH, type Field, headersFrame, requestFields } from '../support/h2-bytes.ts';
import { connectWire } from '../support/own-sessions.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { answering, type RecordingBackend, recordingBackend } from '../support/recording-backend.ts';
import { waitFor } from '../support/test-front-end.ts';
import { FLAG, FRAME, type WireClient } from '../support/wire-client.ts';

interface Case {
  readonly fields: readonly Field[];
  /** Default: the head ends the stream. */
  readonly body?: string;
  readonly trailers?: readonly Field[];
}

const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: evil.example\r\n\r\n';

const get = (...extra: readonly Field[]): Case => ({ fields: requestFields('/case', extra) });
const post = (body: string, ...extra: readonly Field[]): Case => ({
  fields: requestFields('/case', extra, 'POST'),
  body,
});
const path = (text: string, method = 'GET'): Case => ({ fields: requestFields(text, [], method) });
/** A request whose pseudo-header field has another value. */
const pseudo = (name: string, value: string): Case => ({
  fields: requestFields('/case').map(([own, text]) => [own, own === name ? value : text]),
});
const websocket = (protocol: string, ...extra: readonly Field[]): Case => ({
  fields: [...requestFields('/case', extra, 'CONNECT'), [':protocol', protocol]],
  body: '',
});

const REFUSED: Readonly<Record<string, Case>> = {
  'CR LF in a value': get(['x-a', `b\r\n\r\n${HIDDEN}`]),
  'LF in a value': get(['x-a', `b\n\n${HIDDEN}`]),
  'CR in a value': get(['x-a', 'b\rx-c: d']),
  'NUL in a value': get(['x-a', 'b\0c']),
  'CR LF in a name': get(['x-a: b\r\nx-c', 'd']),
  'LF in a name': get(['x-a\nx-c', 'd']),
  'NUL in a name': get(['x-a\0', 'd']),
  'a colon in a name': get(['x-a:x', 'd']),
  'a blank in a name': get(['x-a ', 'd']),
  'a blank before a name': get([' x-a', 'd']),
  'an empty name': get(['', 'd']),
  'a name in upper case': get(['X-A', 'd']),
  'Transfer-Encoding in upper case': post('0\r\n\r\n', ['Transfer-Encoding', 'chunked']),
  'transfer-encoding': post('0\r\n\r\n', ['transfer-encoding', 'chunked']),
  'transfer-encoding with content-length': post(
    '0\r\n\r\n',
    ['transfer-encoding', 'chunked'],
    ['content-length', '5'],
  ),
  'transfer-encoding of another kind': post('x', ['transfer-encoding', 'identity']),
  connection: get(['connection', 'close']),
  'connection that names a field': get(['connection', 'x-forwarded-for']),
  'keep-alive': get(['keep-alive', 'timeout=5']),
  'proxy-connection': get(['proxy-connection', 'keep-alive']),
  upgrade: get(['upgrade', 'h2c']),
  'te with another value': get(['te', 'gzip']),
  'te with a second member': get(['te', 'trailers, gzip']),
  'a content-length that is shorter': post(HIDDEN, ['content-length', '1']),
  'a content-length that is longer': post('x', ['content-length', '200']),
  'a content-length without a body': get(['content-length', '50']),
  'a content-length with a sign': post('x', ['content-length', '+1']),
  'a content-length in hexadecimals': post('x', ['content-length', '0x1']),
  'a content-length as a list': post('x', ['content-length', '1, 1']),
  'two equal content-length': post('x', ['content-length', '1'], ['content-length', '1']),
  'a blank in the path': path('/case HTTP/1.1'),
  'CR LF in the path': path(`/case HTTP/1.1\r\nHost: a\r\n\r\n${HIDDEN}`),
  'a tab in the path': path('/case\tx'),
  'NUL in the path': path('/case\0'),
  'a fragment in the path': path('/case#fragment'),
  'a path without a slash': path('case'),
  'an absolute URL as the path': path('http://evil.example/'),
  'an empty path': path(''),
  'an asterisk for GET': path('*'),
  'bytes above 0x7f in the path': path('/\xe9'),
  'a blank in the method': path('/case', 'GET /hidden HTTP/1.1\r\nX:'),
  'an empty method': path('/case', ''),
  'CR LF in the authority': pseudo(':authority', 'a.example\r\nX-A: b'),
  'a blank in the authority': pseudo(':authority', 'a.example b'),
  'a quote in the authority': pseudo(':authority', 'a.example"'),
  'a path in the authority': pseudo(':authority', 'a.example/x'),
  'a user in the authority': pseudo(':authority', 'user@a.example'),
  'an empty authority': pseudo(':authority', ''),
  'a scheme that is none': pseudo(':scheme', 'https://evil.example/?'),
  'a host that differs from the authority': get(['host', 'evil.example']),
  'two hosts': get(['host', 'localhost'], ['host', 'localhost']),
  'CR LF in the host': get(['host', 'localhost\r\nX-A: b']),
  'two paths': { fields: [[':path', '/other'], ...requestFields('/case')] },
  'a path behind the fields': { fields: [...requestFields('/case', [['x-a', 'b']]), [':path', '/other']] },
  'a status': { fields: [[':status', '200'], ...requestFields('/case')] },
  'an unknown pseudo-header field': { fields: [...requestFields('/case'), [':x', 'y']] },
  'a protocol without CONNECT': { fields: [...requestFields('/case'), [':protocol', 'websocket']] },
  'a protocol with CR LF': websocket('websocket\r\nX-A: b'),
  'a protocol with a blank': websocket('websocket x'),
  'an empty protocol': websocket(''),
  'a protocol with a content-length': websocket('websocket', ['content-length', '5']),
  'a pseudo-header field in the trailers': { ...post('x'), trailers: [[':path', '/other']] },
  'CR LF in a trailer': { ...post('x'), trailers: [['x-a', `b\r\n\r\n${HIDDEN}`]] },
  'transfer-encoding in the trailers': { ...post('x'), trailers: [['transfer-encoding', 'chunked']] },
};

let front: ProxyFront;
let backend: RecordingBackend;
let wire: WireClient;
let stream = 1;

before(async () => {
  front = await startProxyFront();
  backend = await recordingBackend(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  front.passTo([backend.url], { retries: 0 });
  wire = await connectWire(front);
});

after(async () => {
  wire.destroy();
  await backend.close();
  await front.stop();
});

/** Sends a request, and returns its status, or 0 where the stream was reset. */
async function send({ fields, body, trailers }: Case): Promise<number> {
  if (wire.closed) {
    wire = await connectWire(front);
    stream = 1;
  }
  const own = stream;
  stream += 2;
  const frames = [headersFrame(own, block(fields), body === undefined ? END_BOTH : FLAG.endHeaders)];
  if (body !== undefined) frames.push(dataFrame(own, body, trailers === undefined ? FLAG.endStream : 0));
  if (trailers !== undefined) frames.push(headersFrame(own, block(trailers)));
  wire.socket.write(Buffer.concat(frames));
  await waitFor(
    () => wire.closed || wire.frames.some((frame) => isEnd(frame.type, frame.flags) && frame.stream === own),
    'the end of the stream',
  );
  const heads = wire.frames.filter((frame) => frame.type === FRAME.headers && frame.stream === own);
  return Number(heads.at(-1)?.head?.get(':status') ?? 0);
}

function isEnd(type: number, flags: number): boolean {
  return (
    type === FRAME.rstStream ||
    ((type === FRAME.data || type === FRAME.headers) && (flags & FLAG.endStream) !== 0)
  );
}

for (const [what, one] of Object.entries(REFUSED))
  test(`A request of HTTP/2 with ${what} is refused, and none arrives`, async () => {
    const before = backend.requests.length;
    const status = await send(one);
    assert.ok(status === 0 || (status >= 400 && status < 500) || status === 501, `status ${status}`);
    // what had been sent would stand before this one
    assert.equal(await send({ fields: requestFields('/behind') }), 200);
    assert.deepEqual(
      backend.requests.slice(before).map(({ head }) => head.slice(0, head.indexOf('\r\n'))),
      ['GET /behind HTTP/1.1'],
    );
  });

const OWN_LINES =
  'X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: localhost\r\nVia: 2.0 lgateway\r\n';

/** What arrives of requests that are in order. */
const PASSED: Readonly<Record<string, readonly [request: Case, head: string, body: string]>> = {
  'escapes of CR LF in the path': [
    path('/a%0d%0aX:%20y?b=%00'),
    `GET /a%0d%0aX:%20y?b=%00 HTTP/1.1\r\nHost: localhost\r\n${OWN_LINES}\r\n`,
    '',
  ],
  'cookies in several fields': [
    get(['cookie', 'a=1'], ['x-a', 'b'], ['cookie', 'c=2']),
    `GET /case HTTP/1.1\r\nHost: localhost\r\nx-a: b\r\nCookie: a=1; c=2\r\n${OWN_LINES}\r\n`,
    '',
  ],
  'te: trailers': [
    get(['te', 'trailers']),
    `GET /case HTTP/1.1\r\nHost: localhost\r\n${OWN_LINES}Connection: TE\r\nTE: trailers\r\n\r\n`,
    '',
  ],
  'a host that is the authority in another case': [
    get(['host', 'LOCALHOST']),
    `GET /case HTTP/1.1\r\nHost: localhost\r\n${OWN_LINES}\r\n`,
    '',
  ],
  'a body that is a request': [
    post(HIDDEN, ['content-length', String(HIDDEN.length)]),
    `POST /case HTTP/1.1\r\nHost: localhost\r\n${OWN_LINES}Content-Length: ${HIDDEN.length}\r\n\r\n`,
    HIDDEN,
  ],
  'a body of unknown length that is chunks': [
    post('3\r\nabc\r\n'),
    `POST /case HTTP/1.1\r\nHost: localhost\r\n${OWN_LINES}Transfer-Encoding: chunked\r\n\r\n`,
    '8\r\n3\r\nabc\r\n\r\n0\r\n\r\n',
  ],
  'a body of GET': [
    { fields: requestFields('/case'), body: HIDDEN },
    `GET /case HTTP/1.1\r\nHost: localhost\r\n${OWN_LINES}Transfer-Encoding: chunked\r\n\r\n`,
    `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`,
  ],
  'OPTIONS of all': [path('*', 'OPTIONS'), `OPTIONS * HTTP/1.1\r\nHost: localhost\r\n${OWN_LINES}\r\n`, ''],
  'a head of 8 KiB': [
    get(['x-a', 'b'.repeat(8000)]),
    `GET /case HTTP/1.1\r\nHost: localhost\r\nx-a: ${'b'.repeat(8000)}\r\n${OWN_LINES}\r\n`,
    '',
  ],
  'Expect: 100-continue': [
    post('four', ['expect', '100-continue'], ['content-length', '4']),
    `POST /case HTTP/1.1\r\nHost: localhost\r\n${OWN_LINES}Content-Length: 4\r\n\r\n`,
    'four',
  ],
};

for (const [what, [request, head, body]] of Object.entries(PASSED))
  test(`A request of HTTP/2 with ${what} arrives as it should`, async () => {
    const before = backend.requests.length;
    assert.equal(await send(request), 200);
    assert.deepEqual(
      backend.requests.slice(before).map((one) => [one.head, one.body]),
      [[head, body]],
    );
  });

test('Lengths in trailers reach no server', async () => {
  const before = backend.requests.length;
  await send({
    ...post('x'),
    trailers: [
      ['content-length', '50'],
      ['host', 'evil.example'],
    ],
  });
  assert.equal(await send({ fields: requestFields('/behind') }), 200);
  for (const { body } of backend.requests.slice(before)) assert.doesNotMatch(body, /content-length|host/i);
});

test('A body behind a content-length of 0 reaches no server', async () => {
  const before = backend.requests.length;
  await send(post(HIDDEN, ['content-length', '0']));
  assert.equal(await send({ fields: requestFields('/behind') }), 200);
  // its head may have left before the body came
  for (const { head, body } of backend.requests.slice(before)) {
    assert.match(head, /^(?:POST \/case|GET \/behind) HTTP\/1\.1\r\n/);
    assert.equal(body, '');
  }
});

test('An extended CONNECT for another protocol than websocket opens nothing', async () => {
  const status = await send(websocket('h2c'));
  assert.ok(status >= 400, `status ${status}`);
  assert.equal(await send({ fields: requestFields('/behind') }), 200);
});
