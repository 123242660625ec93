/** Compressed answers as clients get them, over both protocols. */
import { deepEqual, equal, ok, strictEqual } from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { ClientHttp2Stream } from 'node:http2';
import { after, before, test } from 'node:test';
import { brotliDecompressSync, constants, createGunzip, gunzipSync } from 'node:zlib';
import { CODER_BYTES } from '../../../src/http/coding/codings.ts';
import { CODERS_BYTES_MAX } from '../../../src/http/coding/compression.ts';
import { PoolTurns } from '../../../src/http/coding/pool-turns.ts';
import type { Exchange } from '../../../src/http/exchange/exchange.ts';
import { connectH2, fetchH2 } from '../../support/h2-client.ts';
import { connectSecure } from '../../support/raw-client.ts';
import { runSuccessfully } from '../../support/run-program.ts';
import { startFrontEnd, streamBody, type TestFrontEnd, waitFor } from '../../support/test-front-end.ts';

const DECODE = { gzip: gunzipSync, br: brotliDecompressSync } as const;
const LINE = 'The quick brown fox jumps over the lazy dog.\n';
const SIZES = [1024, 4 * 1024, 4 * 1024 + 1, 100 * 1024, 128 * 1024, 128 * 1024 + 1, 1024 * 1024] as const;
const TYPE = ['content-type', 'text/plain'];

function forgetStream(): void {
  streaming.exchange = undefined;
}

function text(size: number): Buffer {
  return Buffer.alloc(size, LINE);
}

let front: TestFrontEnd;
const streaming = { exchange: undefined as Exchange | undefined };

before(async () => {
  front = await startFrontEnd(
    {
      '/text': (exchange) => {
        exchange.head(200, [...TYPE, 'etag', '"a"', 'accept-ranges', 'bytes']);
        exchange.write(text(Number(exchange.target.split('?')[1])));
        exchange.end();
      },
      '/declared': (exchange) => {
        const size = Number(exchange.target.split('?')[1]);
        exchange.head(200, [...TYPE, 'content-length', String(size)]);
        if (exchange.method !== 'HEAD') exchange.write(text(size));
        exchange.end();
      },
      '/pieces': (exchange) => {
        exchange.head(200, TYPE);
        streamBody(exchange, text(10_000), 100);
      },
      '/stream': (exchange) => {
        exchange.head(200, TYPE);
        exchange.flush();
        streaming.exchange = exchange;
      },
      '/trailers': (exchange) => {
        exchange.head(200, [...TYPE, 'trailer', 'x-sum']);
        exchange.write(text(5000));
        exchange.trailers(['x-sum', '7']);
        exchange.end();
      },
      '/off': (exchange) => {
        exchange.compression = false;
        exchange.head(200, TYPE);
        exchange.write(text(5000));
        exchange.end();
      },
      '/short': (exchange) => {
        exchange.head(200, [...TYPE, 'content-length', '300000']);
        exchange.write(text(200_000));
        exchange.end();
      },
      '/image': (exchange) => {
        exchange.head(200, ['content-type', 'image/png']);
        exchange.write(text(5000));
        exchange.end();
      },
      '/status': (exchange) => {
        exchange.head(Number(exchange.target.split('?')[1]), [...TYPE, 'content-range', 'bytes 0-1/9']);
        exchange.end();
      },
    },
    { compression: { enabled: true } },
  );
});

after(() => front.stop());

for (const coding of ['gzip', 'br'] as const) {
  for (const size of SIZES) {
    for (const path of [`/text?${size}`, `/declared?${size}`]) {
      test(`${path} in ${coding} is decoded to what was written, over both protocols`, async () => {
        const session = await connectH2(front.port);
        const h2 = await fetchH2(session, { ':path': path, 'accept-encoding': coding });
        session.close();
        const client = await connectSecure(front.port);
        client.send(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: ${coding}\r\n\r\n`);
        const h1 = await client.response();
        client.destroy();
        const { headers } = h1;
        equal(h2.headers['content-encoding'], coding);
        equal(headers.get('content-encoding'), coding);
        equal(headers.get('vary'), 'accept-encoding');
        equal(headers.get('accept-ranges'), undefined);
        if (path.startsWith('/text')) equal(headers.get('etag'), 'W/"a"');
        equal(headers.has('content-length'), size < 128 * 1024);
        for (const { body } of [h1, h2]) {
          ok(body.length < size);
          ok(DECODE[coding](body).equals(text(size)));
        }
      });
    }
  }
}

test('curl --compressed gets what was written, over both protocols', async () => {
  for (const way of ['--http1.1', '--http2']) {
    const url = `https://127.0.0.1:${front.port}/text?100000`;
    const { stdout } = await runSuccessfully('curl', '-sk', way, '--compressed', url);
    equal(stdout.toString(), text(100_000).toString());
  }
});

test('A client that takes no coding gets the body as it is, with Vary', async () => {
  const session = await connectH2(front.port);
  for (const accepted of [{}, { 'accept-encoding': 'gzip;q=0' }, { 'accept-encoding': 'gzip;q=x' }]) {
    const { headers, body } = await fetchH2(session, { ':path': '/text?5000', ...accepted });
    deepEqual(
      [headers['content-encoding'], headers.vary, headers.etag, headers['content-length']],
      [undefined, 'accept-encoding', '"a"', '5000'],
    );
    equal(body.length, 5000);
  }
  session.close();
});

test('What is short, of another type or without content goes as it is, without Vary', async () => {
  const session = await connectH2(front.port);
  for (const path of ['/text?1023', '/text?0', '/image', '/off', '/status?204']) {
    const { headers } = await fetchH2(session, { ':path': path, 'accept-encoding': 'gzip' });
    deepEqual([headers['content-encoding'], headers.vary], [undefined, undefined], path);
  }
  session.close();
});

test('A part and 304 go as they are, with the Vary of the whole answer', async () => {
  const session = await connectH2(front.port);
  for (const status of [206, 304]) {
    const { headers } = await fetchH2(session, { ':path': `/status?${status}`, 'accept-encoding': 'gzip' });
    deepEqual([headers['content-encoding'], headers.vary], [undefined, 'accept-encoding'], String(status));
  }
  session.close();
});

test('HEAD has the fields of GET', async () => {
  const session = await connectH2(front.port);
  for (const path of ['/text?5000', '/declared?5000', '/text?100', '/declared?100']) {
    const ask = { ':path': path, 'accept-encoding': 'gzip' };
    const get = await fetchH2(session, ask);
    const head = await fetchH2(session, { ...ask, ':method': 'HEAD' });
    equal(head.body.length, 0);
    for (const name of ['content-encoding', 'vary', 'etag', 'content-type'])
      equal(head.headers[name], get.headers[name], `${path} ${name}`);
  }
  session.close();
});

test('A flushed piece reaches the client before the next is written', async () => {
  for (const coding of ['gzip', 'br'] as const) {
    const session = await connectH2(front.port);
    forgetStream();
    const stream = session.request({ ':path': '/stream', 'accept-encoding': coding });
    const seen: Buffer[] = [];
    stream.on('data', (bytes: Buffer) => seen.push(bytes));
    const finishFlush = coding === 'gzip' ? constants.Z_SYNC_FLUSH : constants.BROTLI_OPERATION_FLUSH;
    const decode = (): string => {
      if (seen.length === 0) return '';
      return DECODE[coding](Buffer.concat(seen), { finishFlush }).toString();
    };
    await waitFor(() => streaming.exchange !== undefined, 'the handler');
    let expected = '';
    for (const piece of ['one ', 'two ', 'three ']) {
      streaming.exchange?.write(Buffer.from(piece));
      streaming.exchange?.flush();
      expected += piece;
      await waitFor(() => decode() === expected, `"${expected}"`);
    }
    streaming.exchange?.end();
    await new Promise((resolve) => stream.on('close', resolve));
    equal(DECODE[coding](Buffer.concat(seen)).toString(), expected);
    session.close();
  }
});

test('Trailers follow a compressed body', async () => {
  const session = await connectH2(front.port);
  const answer = await fetchH2(session, { ':path': '/trailers', 'accept-encoding': 'gzip' });
  ok(gunzipSync(answer.body).equals(text(5000)));
  equal(answer.trailers?.['x-sum'], '7');
  session.close();
});

test('A body that ends too early breaks the stream off, and cannot be taken for whole', async () => {
  const session = await connectH2(front.port);
  const answer = await fetchH2(session, { ':path': '/short', 'accept-encoding': 'gzip' });
  ok(answer.rstCode !== 0 || answer.status === 500);
  session.close();
  forgetStream();
  const client = await connectSecure(front.port);
  client.send('GET /stream HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n');
  await waitFor(() => streaming.exchange !== undefined, 'the handler');
  streaming.exchange?.write(text(200_000));
  streaming.exchange?.flush();
  await client.until((received) => received.includes(Buffer.from([0x1f, 0x8b])), 'the beginning of the body');
  streaming.exchange?.reset();
  const received = await client.rest();
  equal(received.includes('\r\n0\r\n\r\n'), false);
  client.destroy();
});

test('A client that reads slowly gets all, and one that goes frees the coder', async () => {
  const session = await connectH2(front.port, 'https', { settings: { initialWindowSize: 1000 } });
  const stream = session.request({ ':path': '/pieces', 'accept-encoding': 'gzip' });
  const gunzip = createGunzip();
  let size = 0;
  gunzip.on('data', (bytes: Buffer) => {
    size += bytes.length;
  });
  stream.pipe(gunzip);
  await new Promise((resolve, reject) => gunzip.on('end', resolve).on('error', reject));
  equal(size, 1_000_000);
  forgetStream();
  const left = session.request({ ':path': '/stream', 'accept-encoding': 'gzip' });
  left.on('error', () => undefined);
  await waitFor(() => front.counters.get('coders') === 1, 'a coder');
  left.close(8);
  await waitFor(() => front.counters.get('coders') === 0, 'the end of the coder');
  session.close();
});

test('Where coders have used up their memory, answers go as they are, and are counted', async () => {
  const admitted = Math.floor(CODERS_BYTES_MAX / CODER_BYTES.br);
  const session = await connectH2(front.port);
  const streams: ClientHttp2Stream[] = [];
  const codingOf = async (): Promise<unknown> => {
    const stream = session.request({ ':path': '/stream', 'accept-encoding': 'br' });
    stream.on('error', () => undefined);
    streams.push(stream);
    return await new Promise((resolve) =>
      stream.once('response', (head) => resolve(head['content-encoding'])),
    );
  };
  for (let i = 0; i < admitted; i++) equal(await codingOf(), 'br');
  equal(front.counters.get('coders'), admitted);
  equal(await codingOf(), undefined);
  equal(front.counters.get('compressionsRefusedTotal'), 1);
  streams[0]?.close(8);
  await waitFor(() => front.counters.get('coders') === admitted - 1, 'room');
  equal(await codingOf(), 'br');
  session.destroy();
  await waitFor(() => front.counters.get('coders') === 0, 'the end of all coders');
});

test('Files are read beside twenty answers of 1 MiB, whose pieces have no more than their threads', async () => {
  const turns = new PoolTurns(2);
  const busy = await startFrontEnd(
    {
      '/large': (exchange) => {
        exchange.head(200, TYPE);
        streamBody(exchange, text(64 * 1024), 16);
      },
    },
    { compression: { enabled: true }, turns },
  );
  const session = await connectH2(busy.port);
  let isOver = false;
  const answers = Promise.all(
    Array.from({ length: 20 }, () => fetchH2(session, { ':path': '/large', 'accept-encoding': 'gzip' })),
  ).finally(() => {
    isOver = true;
  });
  let readBeside = 0;
  let atOnce = 0;
  while (!isOver) {
    await readFile(import.meta.filename);
    atOnce = Math.max(atOnce, turns.underWay);
    if (turns.underWay > 0) readBeside += 1;
    // others of this thread have their turn
    await new Promise(setImmediate);
  }
  for (const { body } of await answers) equal(gunzipSync(body).length, 1024 * 1024);
  equal(atOnce, 2);
  ok(readBeside > 0, 'files were read meanwhile');
  session.close();
  await busy.stop();
  equal(turns.underWay, 0);
});

test('Eighty answers at once are all compressed and whole', async () => {
  const session = await connectH2(front.port);
  const answers = await Promise.all(
    Array.from({ length: 80 }, () =>
      fetchH2(session, { ':path': '/text?100000', 'accept-encoding': 'gzip' }),
    ),
  );
  for (const { body } of answers) ok(gunzipSync(body).equals(text(100_000)));
  strictEqual(front.counters.get('coders'), 0);
  session.close();
});
