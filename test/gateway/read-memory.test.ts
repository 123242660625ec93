/** What a read may make the gateway hold: bodies, files, pipes and responses that do not fit into the state, in the real program. */
import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { ClientHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { inForm } from '../support/test-form.ts';
import { type Answer, askSession, TestGateway } from '../support/test-gateway.ts';

const MIB = 1024 * 1024;
const SPARSE_BYTES = 700 * MIB;
/** Above what the program takes before the first request: the state itself may take 32 MiB, and each of those that took its place as much. */
const GROWTH_BYTES_MAX = 160 * MIB;

const SCRIPT = `local httpd = require 'httpd'
local function say(data, message, code)
    httpd.header { status = 200 }
    httpd.write(nil, data and '#' .. #data or table.concat({ tostring(data), message, tostring(code) }, '|'))
end
for name, n in pairs { all = 'a', count = 1000000000, line = 'l' } do
    httpd.register_handler('/' .. name, function() say(httpd.read(nil, n)) end)
end
httpd.register_handler('/unprotected', function() httpd.write(nil, '#' .. #httpd.read(nil, 'a')) end)
httpd.register_handler('/begun', function()
    httpd.write(nil, 'x')
    local data, message, code = httpd.read(nil, 'a')
    httpd.write(nil, '|' .. tostring(data) .. '|' .. code)
end)
httpd.register_handler('/file', function() local f <close> = io.open('$FOLDER/sparse') say(f:read('a')) end)
httpd.register_handler('/file-line', function() local f <close> = io.open('$FOLDER/sparse') say(f:read('l')) end)
httpd.register_handler('/file-count', function() local f <close> = io.open('$FOLDER/sparse') say(f:read(600000000)) end)
httpd.register_handler('/file-httpd', function() local f <close> = io.open('$FOLDER/sparse') say(httpd.read(f, 'a')) end)
httpd.register_handler('/file-lines', function() say(nil, select(2, pcall(function() for l in io.lines('$FOLDER/sparse') do end end))) end)
httpd.register_handler('/file-sync', function()
    local f <close> = io.open('$FOLDER/sparse')
    local t = {}
    table.sort({ 1, 2 }, function(a, b) if not t[1] then t = table.pack(f:read('a')) end return a < b end)
    say(table.unpack(t))
end)
httpd.register_handler('/pipe', function() local f <close> = io.popen('head -c 300000000 /dev/zero') say(f:read('a')) end)
httpd.register_handler('/device', function() local f <close> = io.open('/dev/zero') say(f:read('a')) end)
httpd.register_handler('/fetch', function(env) say(httpd.read(assert(httpd.fetch(env.QUERY_INFO)), 'a')) end)
httpd.register_handler('/small', function() say(httpd.read(nil, 'a')) end, { body = 1000 })
httpd.register_handler('/fits', function() local data = httpd.read(nil, 'a') say(httpd.encode('hex', httpd.crypto.hash('sha256', data))) end)
`;

const LUARS = `function handle_request(method, path, body) return 200, 'text/plain', '#' .. #body end`;

let gateway: TestGateway;
let upstream: ReturnType<typeof createServer>;
let startBytes = 0;

before(async () => {
  gateway = await TestGateway.start(
    { '/': SCRIPT, '/luars': LUARS },
    {
      // time is not what this is about
      words: ['--memory', '32M', '--cpu-limit', '60'],
      apart: true,
      prepare: (folder) => {
        const fd = openSync(folder.file('sparse'), 'w');
        ftruncateSync(fd, SPARSE_BYTES);
        closeSync(fd);
      },
    },
  );
  startBytes = gateway.residentBytes;
  upstream = createServer((_request, response) => {
    const block = Buffer.alloc(MIB);
    const more = (left: number): void => {
      if (left === 0) response.end();
      else response.write(block, () => more(left - 1));
    };
    response.on('error', () => undefined);
    more(300);
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
});

after(async () => {
  upstream.closeAllConnections();
  upstream.close();
  await gateway.stop();
});

/** The most the process has ever held. */
function grownBytes(): number {
  const status = readFileSync(`/proc/${gateway.process.pid}/status`, 'latin1');
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024 - startBytes;
}

function expectFlat(): void {
  const grown = grownBytes();
  assert.ok(grown < GROWTH_BYTES_MAX, `grew by ${Math.round(grown / MIB)} MiB`);
}

/** Sends up to `bytes` zeros without a Content-Length, as far as the gateway takes them. */
function upload(session: ClientHttp2Session, path: string, bytes: number): Promise<Answer> {
  return new Promise((resolve) => {
    const stream = session.request({ ':method': 'POST', ':path': path });
    let status = 0;
    let text = '';
    const block = Buffer.alloc(64 * 1024);
    const more = (left: number): void => {
      if (stream.destroyed || stream.closed) return;
      if (left <= 0) stream.end();
      else stream.write(block, () => more(left - block.length));
    };
    stream.on('response', (head) => {
      status = Number(head[':status']);
    });
    stream.setEncoding('latin1').on('data', (data: string) => {
      text += data;
    });
    const finish = (): void => {
      resolve({
        status,
        text,
        headers: {},
        informational: [],
        body: Buffer.from(text),
        cut: !stream.readableEnded,
      });
      stream.destroy();
    };
    stream.on('error', () => undefined);
    // after a reset without error node waits for writes that cannot finish any more
    stream.on('end', finish);
    stream.on('close', finish);
    more(bytes);
  });
}

for (const path of ['/all', '/count', '/line', '/unprotected', '/luars/x']) {
  test(`bodies without a length that do not fit into the state are answered with 413: ${path}`, async () => {
    const session = await gateway.session();
    const uploads = path === '/all' ? [1, 2, 3] : inForm([1], [1, 2, 3]);
    const answers = await Promise.all(uploads.map(() => upload(session, path, 300 * MIB)));
    for (const { status } of answers) assert.equal(status, 413, gateway.log);
    session.destroy();
    expectFlat();
  });
}

test('a body whose declared length does not fit is answered with 413 before it is sent', async () => {
  for (const path of ['/all', '/count', '/unprotected', '/luars/x']) {
    const socket = await gateway.connect();
    socket.write(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\nbegun`);
    const head = await new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))));
    assert.match(head, /^HTTP\/1\.1 413 /);
    socket.destroy();
  }
});

test('a handler takes no longer bodies than its option "body" says, declared or not, over both protocols', async () => {
  for (const protocol of ['h2', 'h1'] as const)
    for (const [size, status] of [
      [1000, 200],
      [1001, 413],
    ] as const) {
      const answer = await gateway.ask(protocol, '/small', { method: 'POST', body: Buffer.alloc(size) });
      assert.equal(answer.status, status, `${protocol} ${size}`);
      if (status === 200) assert.equal(answer.text, `#${size}`);
    }
  const session = await gateway.session();
  assert.equal((await upload(session, '/small', 64 * 1024)).status, 413);
  session.destroy();
  for (const [size, head] of [
    ['3E8', /^HTTP\/1\.1 200 /],
    ['3E9', /^HTTP\/1\.1 413 /],
  ] as const) {
    const socket = await gateway.connect();
    const data = 'x'.repeat(Number.parseInt(size, 16));
    socket.write(
      `POST /small HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${size}\r\n${data}\r\n0\r\n\r\n`,
    );
    const answer = await new Promise<string>((resolve) =>
      socket.once('data', (bytes) => resolve(String(bytes))),
    );
    assert.match(answer, head);
    socket.destroy();
  }
});

test('when the answer has begun, the script is told that the body does not fit', async () => {
  const session = await gateway.session();
  const answer = await upload(session, '/begun', 40 * MIB);
  assert.equal(answer.text, 'x|nil|limit');
  session.destroy();
  expectFlat();
});

for (const path of [
  '/file',
  '/file-line',
  '/file-count',
  '/file-httpd',
  '/file-sync',
  '/pipe',
  '/device',
  '/fetch',
]) {
  test(`a read that does not fit into the state is nil, message, "limit": ${path}`, async () => {
    const query = path === '/fetch' ? `?http://127.0.0.1:${(upstream.address() as AddressInfo).port}/` : '';
    const { text } = await gateway.ask('h2', path + query);
    assert.match(text, /^nil\|Cannot read \d+ bytes or more at once: .*33554432 bytes \(--memory\)\|limit$/);
    expectFlat();
  });
}

test('io.lines() raises an error for a line that does not fit', async () => {
  const { text } = await gateway.ask('h2', '/file-lines');
  assert.match(text, /^nil\|.*Cannot read/);
});

test('what fits is read whole and as it was sent', async () => {
  const body = Buffer.alloc(6 * MIB);
  for (let i = 0; i < body.length; i += 4) body.writeUInt32LE((i * 2654435761) >>> 0, i);
  const { createHash } = await import('node:crypto');
  const expected = `#${createHash('sha256').update(body).digest('hex').length}`;
  for (const protocol of ['h1', 'h2'] as const) {
    const answer = await gateway.ask(protocol, '/fits', { method: 'POST', body });
    assert.equal(answer.status, 200);
    assert.equal(answer.text, expected);
  }
  const session = await gateway.session();
  assert.equal((await askSession(session, '/fits', { method: 'POST', body: 'x' })).status, 200);
  session.destroy();
});
