/** request.formData() and multipart() of TypeScript handlers: what they give, what they refuse, and what they hold. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterEach } from 'node:test';
import { multipart, type RouteHandler, Router } from '../../src/index.ts';
import { FORM_ENTRIES_MAX, URLENCODED_BYTES_MAX } from '../../src/web/form-data.ts';
import { calmTest as test } from '../support/calm.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { connectH2, fetchH2 } from '../support/h2-client.ts';
import { makeInput } from '../support/multipart-input.ts';
import { askBusboy, explain, withoutPadding } from '../support/multipart-oracle.ts';
import { connectPlain } from '../support/raw-client.ts';
import type { ReadPart } from '../support/read-multipart.ts';
import { waitFor } from '../support/test-front-end.ts';
import { untilStill } from '../support/until-still.ts';

const MIB = 1024 * 1024;

let server: EmbeddedServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

const TYPE = 'multipart/form-data; boundary=b';

/** A body of parts, each a head and a content. */
function body(...parts: readonly (readonly [head: string, content: string])[]): string {
  return `${parts.map(([head, content]) => `--b\r\ncontent-disposition: form-data; ${head}\r\n\r\n${content}\r\n`).join('')}--b--\r\n`;
}

/** In pieces of some bytes, as the network may cut it. */
function inPieces(text: string, size: number): ReadableStream<Uint8Array> {
  const bytes = Buffer.from(text, 'latin1');
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) controller.close();
      else controller.enqueue(new Uint8Array(bytes.subarray(at, at + size)));
      at += size;
    },
  });
}

function post(content: string | ReadableStream<Uint8Array>, type: string = TYPE): Request {
  const init = {
    method: 'POST',
    body: content,
    headers: { 'content-type': type },
    duplex: 'half',
  };
  return new Request('http://a.test/', init as unknown as RequestInit);
}

/** As a handler has it: the request of a gateway over a real connection. */
async function serveForm(answer: RouteHandler): Promise<EmbeddedServer> {
  server = await EmbeddedServer.start(new Router().post('/', answer));
  return server;
}

test('request.formData() gives fields and files as a browser sends them, over HTTP/1.1 and HTTP/2', async () => {
  const { url, port } = await serveForm(async (request) => {
    const form = await request.formData();
    const entries = [...form].map(async ([name, value]) =>
      typeof value === 'string'
        ? [name, value]
        : [
            name,
            value.name,
            value.type,
            createHash('sha256')
              .update(await value.bytes())
              .digest('hex'),
          ],
    );
    assert.equal(request.bodyUsed, true);
    return Response.json(await Promise.all(entries));
  });
  const bytes = Buffer.alloc(300_000, 'äöü');
  const sent = new FormData();
  sent.append('näme "x"\n', 'välue');
  sent.append('a', '');
  sent.append('a', 'two');
  sent.append('file', new File([bytes], 'fi"lé.png', { type: 'image/png' }));
  const hash = createHash('sha256').update(bytes).digest('hex');
  const expected = [
    ['näme "x"\r\n', 'välue'],
    ['a', ''],
    ['a', 'two'],
    ['file', 'fi"lé.png', 'image/png', hash],
  ];
  assert.deepEqual(await (await fetch(url, { method: 'POST', body: sent })).json(), expected);
  const urlencoded = new URLSearchParams([
    ['a b', 'ä&='],
    ['a b', ''],
  ]);
  const answer = await fetch(url, { method: 'POST', body: urlencoded });
  assert.deepEqual(await answer.json(), [
    ['a b', 'ä&='],
    ['a b', ''],
  ]);
  const session = await connectH2(port, 'http');
  const encoded = new Response(sent);
  const headers = {
    ':path': '/',
    ':method': 'POST',
    'content-type': encoded.headers.get('content-type') ?? '',
  };
  const overHttp2 = await fetchH2(
    session,
    headers,
    Buffer.from(await encoded.arrayBuffer()).toString('latin1'),
  );
  assert.equal(overHttp2.status, 200);
  session.destroy();
});

test('request.formData() refuses what is no form, is malformed, or exceeds the limits, with the status of each', async () => {
  const { url } = await serveForm(async (request) => Response.json([...(await request.formData())].length));
  const field = (count: number): string =>
    body(...Array.from({ length: count }, () => ['name=a', ''] as const));
  const query = (count: number): string => Array.from({ length: count }, () => 'a=1').join('&');
  const urlencoded = 'application/x-www-form-urlencoded';
  const cases: readonly (readonly [
    type: string,
    content: string,
    status: number,
    log: RegExp | undefined,
  ])[] = [
    ['text/plain', 'a=1', 415, /The request holds no form \(.*its content-type is "text\/plain"/],
    ['multipart/form-data', body(), 415, /holds no form/],
    [TYPE, body(['name=a', 'x']).slice(0, -4), 400, /it ends before its last boundary/],
    [TYPE, body(['', 'x']), 400, /which is no form-data with a name/],
    [TYPE, field(FORM_ENTRIES_MAX), 200, undefined],
    [TYPE, field(FORM_ENTRIES_MAX + 1), 413, /more parts than the limit of 1000/],
    [TYPE, body(['name=a', 'x'.repeat(MIB)]), 200, undefined],
    [TYPE, body(['name=a', 'x'.repeat(MIB + 1)]), 413, /a field has more bytes than the limit of 1048576/],
    [TYPE, body([`name=a; filename=f`, 'x'.repeat(MIB + 1)]), 200, undefined],
    [
      TYPE,
      body([`name=${'x'.repeat(8192)}`, '']),
      413,
      /head of a part has more bytes than the limit of 8192/,
    ],
    [urlencoded, query(FORM_ENTRIES_MAX), 200, undefined],
    [urlencoded, query(FORM_ENTRIES_MAX + 1), 413, /more entries than the limit of 1000/],
    [urlencoded, `a=${'x'.repeat(URLENCODED_BYTES_MAX - 2)}`, 200, undefined],
    [
      urlencoded,
      `a=${'x'.repeat(URLENCODED_BYTES_MAX - 1)}`,
      413,
      /the limit of an urlencoded form is 4194304/,
    ],
  ];
  for (const [type, content, status, log] of cases) {
    const init = { method: 'POST', body: content, headers: { 'content-type': type } };
    const what = `${type} ${content.length}`;
    assert.equal((await fetch(url, init)).status, status, what);
    if (log !== undefined) await server?.untilLog(log);
  }
});

test('formData() refuses an urlencoded form at its limit, and does not wait for the rest', async () => {
  const { port } = await serveForm(async (request) => Response.json([...(await request.formData())].length));
  const client = await connectPlain(port);
  client.send(
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n',
  );
  // the chunk goes on, and the client sends no more of it
  client.send(`${(16 * MIB).toString(16)}\r\na=${'x'.repeat(URLENCODED_BYTES_MAX - 1)}`);
  await client.until((received) => received.includes('HTTP/1.1 413 '), 'the refusal');
  client.destroy();
});

test('multipart() gives each part as a stream, in pieces of any size', async () => {
  const text = body(
    ['name="a"', 'one'],
    ['name="f"; filename="x%22y.txt"\r\ncontent-type: text/csv\r\nx-own: 1', 'line\r\n--c\r\n'],
    ['name="\xc3\xa9"', ''],
  );
  for (const size of [1, 7, 1000]) {
    const seen: unknown[] = [];
    for await (const part of multipart(post(inPieces(text, size)))) {
      assert.equal(part.bodyUsed, false);
      seen.push([part.name, part.filename, part.type, part.headers.get('x-own'), await part.text()]);
      assert.equal(part.bodyUsed, true);
      await assert.rejects(part.text(), { name: 'TypeError' });
    }
    assert.deepEqual(seen, [
      ['a', undefined, 'text/plain', null, 'one'],
      ['f', 'x"y.txt', 'text/csv', '1', 'line\r\n--c\r\n'],
      ['é', undefined, 'text/plain', null, ''],
    ]);
  }
});

test('multipart() passes over what is not read, and a part is over when the next one was asked for', async () => {
  const text = body(['name=a', 'x'.repeat(1000)], ['name=b', 'yy']);
  const names: string[] = [];
  let first: { readonly body: ReadableStream<Uint8Array> } | undefined;
  for await (const part of multipart(post(inPieces(text, 10)))) {
    names.push(part.name);
    if (first === undefined) first = part;
    else await assert.rejects(first.body.getReader().read(), { code: 'LGW_FORM_READ' });
  }
  assert.deepEqual(names, ['a', 'b']);
});

test('Random forms in random pieces are read by multipart() as @fastify/busboy reads them', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const { boundary, body: text, cuts } = makeInput(seed, false);
    const type = `multipart/form-data; boundary="${boundary}"`;
    const parts: ReadPart[] = [];
    for await (const part of multipart(post(inPieces(text, seed % 10 === 0 ? 1 : 3 * seed), type))) {
      const content = Buffer.from(await part.bytes()).toString('latin1');
      const [name, filename] = [part.name, part.filename].map((value) =>
        value === undefined ? undefined : Buffer.from(value.replaceAll('"', '%22')).toString('latin1'),
      );
      parts.push({ name: name ?? '', filename, type: part.type, content });
    }
    const busboy = await askBusboy(withoutPadding(text, boundary), type, cuts[1]);
    const rule = explain({ body: text, boundary, own: { parts, failure: undefined }, busboy });
    assert.equal(rule, undefined, `seed ${seed}`);
  }
});

test('multipart() refuses options that cannot be, other types, and bodies that were read', async () => {
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [{ parts: -1 }, /Option "parts" of multipart is -1 and not a whole number from 0 to 10000/],
    [{ parts: 10_001 }, /"parts"/],
    [{ head: 65_537 }, /"head"/],
    [{ field: 1.5 }, /"field"/],
    [{ size: '1' }, /"size"/],
    [{ bytes: 1 }, /multipart has no option "bytes"/],
  ];
  for (const [options, message] of refused)
    assert.throws(() => multipart(post(''), options as object), { name: 'RangeError', message });
  const limited = multipart(post(body(['name=a', 'xx'])), { parts: 10_000, head: 65_536, field: 1 });
  await assert.rejects(readAll(limited), { code: 'LGW_FORM_LIMIT', status: 413 });
  await assert.rejects(readAll(multipart(post('a=1', 'text/plain'))), { code: 'LGW_FORM_TYPE', status: 415 });
  await assert.rejects(readAll(multipart(new Request('http://a.test/'))), { code: 'LGW_FORM_TYPE' });
  await assert.rejects(readAll(multipart(post(''))), { code: 'LGW_FORM_MALFORMED', status: 400 });
  const read = post(body());
  await read.text();
  assert.throws(() => multipart(read), { name: 'TypeError' });
});

async function readAll(parts: AsyncIterable<{ text(): Promise<string> }>): Promise<void> {
  for await (const part of parts) await part.text();
}

test('Leaving the loop of multipart() tells whoever feeds the body', async () => {
  let isCancelled = false;
  const endless = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(Buffer.from('--b\r\ncontent-disposition: form-data; name=a\r\n\r\nx'));
    },
    cancel() {
      isCancelled = true;
    },
  });
  for await (const part of multipart(post(endless))) {
    assert.equal(part.name, 'a');
    break;
  }
  await waitFor(() => isCancelled, 'the end of the stream');
});

test('An upload of 32 MiB goes through multipart() at the pace of its reader', async () => {
  const size = 32 * MIB;
  let sent = 0;
  let sentMeanwhile = 0;
  const { url } = await serveForm(async (request) => {
    let bytes = 0;
    for await (const part of multipart(request)) {
      for await (const piece of part.body) {
        if (bytes === 0) {
          await untilStill(() => sent);
          sentMeanwhile = sent;
        }
        bytes += piece.length;
      }
    }
    return new Response(String(bytes));
  });
  const piece = new Uint8Array(64 * 1024);
  function* upload(): Generator<Uint8Array> {
    yield Buffer.from('--b\r\ncontent-disposition: form-data; name=f; filename=f\r\n\r\n');
    for (; sent < size; sent += piece.length) yield piece;
    yield Buffer.from('\r\n--b--\r\n');
  }
  const stream = Readable.toWeb(Readable.from(upload()));
  const init = { method: 'POST', body: stream, headers: { 'content-type': TYPE }, duplex: 'half' };
  const answer = await fetch(url, init as unknown as RequestInit);
  assert.equal(await answer.text(), String(size));
  assert.ok(
    sentMeanwhile > 0 && sentMeanwhile < size / 2,
    `${sentMeanwhile} bytes were sent to a reader that waits`,
  );
});

test('A client that goes in the middle of a form rejects what reads it, and no error is logged', async () => {
  let failure: unknown;
  await serveForm(async (request) => {
    try {
      await request.formData();
    } catch (error) {
      failure = error;
    }
    return new Response('');
  });
  const session = await connectH2(server?.port ?? 0, 'http');
  const stream = session.request({ ':method': 'POST', ':path': '/', 'content-type': TYPE });
  stream.on('error', () => undefined);
  stream.write('--b\r\ncontent-disposition: form-data; name=a\r\n\r\nx');
  await server?.until('exchanges', 1);
  session.destroy();
  await waitFor(() => failure !== undefined, 'the failure');
  assert.match(String(failure), /GatewayError: Client has gone/);
  await server?.untilIdle();
  assert.doesNotMatch(server?.log ?? '', / error /);
});
