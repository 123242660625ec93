/** Clients that still send a body when their answer is complete: the answer arrives and the connection stays usable. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { ERROR_CODE } from '../../../src/http/h2/error-codes.ts';
import { connectWire, OWN_HANDLERS, resetCode, startOwn } from '../../support/own-sessions.ts';
import { type HandlerFunction, startFrontEnd } from '../../support/test-front-end.ts';
import { FRAME } from '../../support/wire-client.ts';

const FAILS_AFTER_BYTES = 300_000;

const HANDLERS: Readonly<Record<string, HandlerFunction>> = {
  ...OWN_HANDLERS,
  '/unread': (x) => {
    x.head(401, []);
    x.write(Buffer.from('unread'));
    x.end();
  },
  /** Reads a part of the body and fails. */
  '/fails': (x) => {
    const { body } = x;
    let size = 0;
    const read = (): void => {
      size += body.queue.length;
      while (body.queue.length > 0) body.queue.takeChunk();
      body.consumed();
      if (body.ended || size > FAILS_AFTER_BYTES) x.reset(500);
      else body.request(1, read);
    };
    body.request(1, read);
  },
};

test('A stream that has its answer gets no more window, its connection does, and a quiet client NO_ERROR', async (t) => {
  const front = await startOwn({}, HANDLERS);
  t.after(() => front.stop());
  const wire = await connectWire(front);
  await wire.ping();
  wire.request(1, '/unread', { method: 'POST', open: true });
  strictEqual((await wire.response(1)).status, 401);
  const sent = 240_000;
  for (let left = sent; left > 0; left -= 16_000) wire.data(1, Buffer.alloc(16_000));
  // more than half of the connection's window, so that the server has to open it again
  wire.request(3, '/unread', { method: 'POST', open: true });
  wire.request(5, '/unread', { method: 'POST', open: true });
  for (const stream of [3, 5])
    for (let left = sent; left > 0; left -= 16_000) wire.data(stream, Buffer.alloc(16_000));
  const opened = await wire.frame(({ type, stream, payload }) => {
    return type === FRAME.windowUpdate && stream === 0 && payload.readUInt32BE() >= sent;
  }, 'the window of the connection to be opened');
  ok(opened);
  for (const stream of [1, 3, 5]) strictEqual(await resetCode(wire, stream), ERROR_CODE.noError);
  const credited = wire.frames.filter(({ type, stream }) => type === FRAME.windowUpdate && stream !== 0);
  deepStrictEqual(credited, []);
  // frames sent before the reset arrived are no error of the client
  for (let i = 0; i < 16; i++) wire.data(1, Buffer.alloc(16_000));
  wire.request(7, '/hello');
  strictEqual((await wire.response(7)).status, 200);
  wire.destroy();
});

test('A client that ends its body behind the answer is not reset, even where it declared more', async (t) => {
  const front = await startOwn({}, HANDLERS);
  t.after(() => front.stop());
  const wire = await connectWire(front);
  wire.request(1, '/unread', { method: 'POST', open: true, fields: [['content-length', '1000']] });
  strictEqual((await wire.response(1)).status, 401);
  wire.data(1, 'a part', true);
  wire.request(3, '/hello');
  strictEqual((await wire.response(3)).status, 200);
  deepStrictEqual(
    wire.frames.filter(({ type }) => type === FRAME.rstStream || type === FRAME.goaway),
    [],
  );
  wire.destroy();
});

test('A client that resets uploads that were refused is no attacker', async (t) => {
  const front = await startOwn({ resetsPerSecond: 2 }, HANDLERS);
  t.after(() => front.stop());
  const wire = await connectWire(front);
  for (let stream = 1; stream < 100; stream += 2) {
    wire.request(stream, '/unread', { method: 'POST', open: true });
    strictEqual((await wire.response(stream)).status, 401);
    wire.reset(stream, ERROR_CODE.cancel);
  }
  wire.request(101, '/hello');
  strictEqual((await wire.response(101)).status, 200);
  wire.destroy();
});

const UPLOAD_BYTES = 64 * 1024 * 1024;
const TRIES = 8;

/** Resolves with the status and exit code of curl for an upload of unknown length. */
function upload(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const words = ['-sk', '--http2', '-o', '/dev/null', '-w', '%{http_code}', '-m', '25', '-T', '-', url];
    const curl = spawn('curl', words, { stdio: ['pipe', 'pipe', 'ignore'] });
    let said = '';
    curl.stdout.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
    curl.once('error', reject);
    curl.once('close', (code) => resolve(`${said} exit ${code}`));
    curl.stdin.on('error', () => undefined);
    const block = Buffer.alloc(64 * 1024);
    let left = UPLOAD_BYTES;
    const feed = (): void => {
      while (left > 0) {
        left -= block.length;
        if (!curl.stdin.write(block)) {
          curl.stdin.once('drain', feed);
          return;
        }
      }
      curl.stdin.end();
    };
    feed();
  });
}

test('curl gets every answer to an upload that is refused or fails in its middle', async (t) => {
  const front = await startFrontEnd(HANDLERS, { limits: { bodyBytesMax: 1024 * 1024 } });
  t.after(() => front.stop());
  const base = `https://127.0.0.1:${front.port}`;
  for (const [path, wanted] of [
    ['/echo', '413 exit 0'],
    ['/fails', '500 exit 0'],
  ]) {
    const said: string[] = [];
    for (let i = 0; i < TRIES; i++) said.push(await upload(base + path));
    deepStrictEqual(said, Array(TRIES).fill(wanted), path);
  }
});
