/** Requests passed on to HTTP/1.1 servers over real sockets: what reaches the server, what reaches the client, and the connections. */
import assert from 'node:assert/strict';
import { type ClientHttp2Session, connect } from 'node:http2';
import { after, before } from 'node:test';
import { calmTest as test } from '../support/calm.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { answering, recordingBackend } from '../support/recording-backend.ts';

let front: ProxyFront;
let session: ClientHttp2Session;

before(async () => {
  front = await startProxyFront();
  session = connect(`https://127.0.0.1:${front.port}`, { rejectUnauthorized: false });
});

after(async () => {
  session.destroy();
  await front.stop();
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  /** The code of RST_STREAM; 0 = the answer is whole. */
  readonly code: number;
}

function ask(headers: Record<string, string | string[]>, body?: Buffer | string): Promise<Answer> {
  return new Promise((resolve) => {
    const stream = session.request(
      { ':authority': 'example.org', ...headers },
      { endStream: body === undefined },
    );
    let status = 0;
    let fields: Record<string, unknown> = {};
    let text = '';
    stream.setEncoding('latin1');
    stream.on('error', () => undefined);
    stream.on('response', (head) => {
      status = Number(head[':status']);
      fields = head;
    });
    stream.on('data', (chunk: string) => {
      text += chunk;
    });
    stream.on('close', () => resolve({ status, headers: fields, body: text, code: stream.rstCode }));
    if (body !== undefined) stream.end(body);
  });
}

test('A request goes to the upstream with its fields, and the answer to the client', async () => {
  const backend = await recordingBackend(
    answering(
      'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: x-hop\r\nX-Hop: 1\r\nContent-Length: 5\r\n\r\nhello',
    ),
  );
  try {
    front.passTo([backend.url]);
    const answer = await ask({ ':path': '/a%2Fb?x=%20', 'x-own': '1', cookie: ['a=1', 'b=2'] });
    assert.equal(answer.status, 200);
    assert.equal(answer.body, 'hello');
    assert.equal(answer.headers['x-hop'], undefined);
    assert.equal(answer.headers['content-length'], '5');
    assert.equal(
      backend.requests[0]?.head,
      'GET /a%2Fb?x=%20 HTTP/1.1\r\nHost: example.org\r\nx-own: 1\r\nCookie: a=1; b=2\r\nX-Forwarded-For: 127.0.0.1\r\n' +
        'X-Forwarded-Proto: https\r\nX-Forwarded-Host: example.org\r\nVia: 2.0 lgateway\r\n\r\n',
    );
  } finally {
    await backend.close();
  }
});

test('Requests one after another use one connection, and a body goes with its length or in chunks', async () => {
  const backend = await recordingBackend(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  try {
    front.passTo([backend.url]);
    await ask({ ':path': '/', ':method': 'POST', 'content-length': '4' }, 'four');
    await ask({ ':path': '/', ':method': 'POST' }, 'chunks');
    await ask({ ':path': '/' });
    assert.equal(backend.connections(), 1);
    assert.deepEqual(
      backend.requests.map(({ body }) => body),
      ['four', '6\r\nchunks\r\n0\r\n\r\n', ''],
    );
  } finally {
    await backend.close();
  }
});

test('An answer that ends early is reset, and one that has not begun is a page of status 502', async () => {
  const backend = await recordingBackend((request, socket) => {
    if (request.head.startsWith('GET /early'))
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf');
    socket.end();
  });
  try {
    front.passTo([backend.url]);
    const early = await ask({ ':path': '/early' });
    assert.equal(early.status, 200);
    assert.notEqual(early.code, 0);
    const closed = await ask({ ':path': '/closed' });
    assert.equal(closed.status, 502);
    await front.whenPassed();
    assert.deepEqual(front.failures.slice(-2), ['LGW_PROXY_CLOSED', 'LGW_PROXY_CLOSED']);
  } finally {
    await backend.close();
  }
});
