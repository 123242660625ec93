/** StreamSink: sizes before messages, receivers that are away, that end and that stand still. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { syslogRecord } from '../../src/supervisor/log-frames.ts';
import { StreamSink, type StreamSinkOptions } from '../../src/supervisor/stream-sink.ts';

const FLUSH_MS = 20_000;

let folder: string;
let path: string;
const sinks: StreamSink[] = [];
const receivers: Receiver[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-stream-'));
  path = join(folder, 'log');
});
afterEach(async () => {
  for (const sink of sinks.splice(0)) sink.close();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.stop()));
  rmSync(folder, { recursive: true });
});

/** Takes messages apart by the sizes before them. */
class Receiver {
  readonly messages: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #heard = (): void => undefined;

  private constructor(reads: boolean) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      let rest: Buffer = Buffer.alloc(0);
      if (reads)
        socket.on('data', (chunk) => {
          rest = this.#take(Buffer.concat([rest, chunk]));
          this.#heard();
        });
      this.#heard();
    });
  }

  static async start(reads = true): Promise<Receiver> {
    const receiver = new Receiver(reads);
    receivers.push(receiver);
    await new Promise<void>((resolve) => receiver.#server.listen(path, resolve));
    return receiver;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  #take(bytes: Buffer): Buffer {
    for (let rest = bytes; ; ) {
      const blank = rest.indexOf(' ');
      const end = blank + 1 + Number(rest.toString('latin1', 0, blank));
      if (blank < 0 || rest.length < end) return rest;
      this.messages.push(rest.toString('utf8', blank + 1, end));
      rest = rest.subarray(end);
    }
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds())
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

function open(options: Partial<StreamSinkOptions> = {}): StreamSink {
  const own = new StreamSink({
    log: 'log',
    name: 'here',
    path,
    frame: syslogRecord,
    complain: () => undefined,
    ...options,
  });
  sinks.push(own);
  return own;
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `line ${i}`);

test('Each record is a message with its size, in order, whatever is in it', async () => {
  const receiver = await Receiver.start();
  const own = open();
  const all = [...numbers(5000), 'two\nlines', '12 é', ''];
  for (const record of all) own.write(record);
  await own.flush(FLUSH_MS);
  own.writeLines(Buffer.from('line a\nline b\n'));
  await receiver.until(() => receiver.messages.length === all.length + 2);
  assert.deepEqual(receiver.messages, [...all, 'line a', 'line b']);
  assert.equal(receiver.connections, 1);
  assert.equal(own.lostTotal, 0);
});

test('A receiver that is not there is told of, and gets what has waited when it comes', async () => {
  let complained: (message: string) => void = () => undefined;
  const complaint = new Promise<string>((resolve) => {
    complained = resolve;
  });
  const own = open({ complain: (message) => complained(message) });
  own.write('first');
  assert.equal(await complaint, 'Cannot send the log to here: ENOENT; 0 lines are lost so far');
  own.write('second');
  const receiver = await Receiver.start();
  await receiver.until(() => receiver.messages.length === 2);
  assert.deepEqual(receiver.messages, ['first', 'second']);
  assert.equal(own.lostTotal, 0);
});

test('A connection that ends is made again', async () => {
  const first = await Receiver.start();
  const own = open();
  own.write('first');
  await first.until(() => first.messages.length === 1);
  await first.stop();
  const second = await Receiver.start();
  // one may go into the connection that ends
  while (second.messages.length === 0) {
    own.write('again');
    await Promise.race([own.flush(FLUSH_MS), second.until(() => second.messages.length > 0)]);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(second.messages[0], 'again');
});

test('A receiver that stands still holds up nobody: its limit holds, and what is dropped is counted', async () => {
  const receiver = await Receiver.start(false);
  const own = open({ queueBytesMax: 100_000, lastWaitMs: 1 });
  own.write('first');
  await receiver.until(() => receiver.connections === 1);
  const record = 'x'.repeat(7000);
  // a unix socket holds some two hundred KiB of them
  for (let i = 0; i < 200; i++) {
    own.write(record);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(own.lostTotal > 0 && own.lostTotal < 200, `${own.lostTotal}`);
  const before = own.lostTotal;
  // closed, it gives up what waits, and says so
  own.close();
  own.write('late');
  await own.flush(FLUSH_MS);
  assert.ok(own.lostTotal > before, `${own.lostTotal}`);
});
