/** LogSink: order, reopening, and what it does when nobody reads. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { GatewayError, systemCodeOf } from '../../src/base/errors.ts';
import { LentBlock } from '../../src/base/lent-block.ts';
import { LogSink } from '../../src/supervisor/log-sink.ts';

const FLUSH_MS = 60_000;

/** Never waits: the sink needs this thread to go on. */
function readWhatIsThere(descriptor: number, into: Buffer): number {
  try {
    return readSync(descriptor, into);
  } catch (error) {
    if (systemCodeOf(error) === 'EAGAIN') return 0;
    throw error;
  }
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-log-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('LogSink writes lines in order', async () => {
  const file = join(folder, 'log');
  const sink = new LogSink({ file });
  for (let i = 0; i < 5000; i++) sink.write(`line ${i}`);
  await sink.flush(FLUSH_MS);
  assert.equal(readFileSync(file, 'utf8'), Array.from({ length: 5000 }, (_, i) => `line ${i}\n`).join(''));
});

test('LogSink.reopen() goes on in a new file after a rename', async () => {
  const file = join(folder, 'log');
  const sink = new LogSink({ file });
  sink.write('before');
  await sink.flush(FLUSH_MS);
  renameSync(file, `${file}.1`);
  sink.reopen();
  sink.write('after');
  await sink.flush(FLUSH_MS);
  assert.equal(readFileSync(`${file}.1`, 'utf8'), 'before\n');
  assert.equal(readFileSync(file, 'utf8'), 'after\n');
});

test('LogSink.reopen() keeps the old file when the new one cannot be opened', async () => {
  const inner = join(folder, 'logs');
  spawnSync('mkdir', [inner]);
  const sink = new LogSink({ file: join(inner, 'log') });
  renameSync(inner, `${inner}-old`);
  assert.throws(() => sink.reopen(), GatewayError);
  sink.write('still here');
  await sink.flush(FLUSH_MS);
  assert.equal(readFileSync(join(`${inner}-old`, 'log'), 'utf8'), 'still here\n');
});

test('LogSink refuses a file that cannot be opened and names it', () => {
  assert.throws(
    () => new LogSink({ file: join(folder, 'no', 'log') }),
    /^GatewayError: Cannot open the log file ".*log": ENOENT/,
  );
});

test('LogSink never waits for a reader: it keeps its limit, drops the rest and counts it', async () => {
  const fifo = join(folder, 'fifo');
  assert.equal(spawnSync('mkfifo', [fifo]).status, 0);
  // open for both directions, so that opening to write does not wait for a reader
  const reader = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  const sink = new LogSink({ file: fifo, queueBytesMax: 100_000 });
  const line = 'x'.repeat(999);
  for (let i = 0; i < 400; i++) sink.write(line);
  const chunk = Buffer.alloc(65_536);
  let text = '';
  const dropped = (): number => Number(/(\d+) log lines were dropped/.exec(text)?.[1] ?? 0);
  const kept = (): number => text.split('\n').filter((one) => one === line).length;
  while (kept() + dropped() < 400) {
    await new Promise((resolve) => setImmediate(resolve));
    text += chunk.toString('latin1', 0, readWhatIsThere(reader, chunk));
  }
  await sink.flush(FLUSH_MS);
  assert.equal(kept() + dropped(), 400);
  assert.ok(kept() >= 100 && kept() <= 101, `the limit holds: ${kept()} lines were kept`);
});

test('LogSink tells of a line that is longer than its queue, though none follows', async () => {
  const file = join(folder, 'log');
  const sink = new LogSink({ file, queueBytesMax: 1000 });
  sink.write('x'.repeat(1000));
  await sink.flush(FLUSH_MS);
  assert.match(readFileSync(file, 'utf8'), /^\S+ warn log 1 log lines were dropped: .*\n$/);
});

test('LogSink says once that its file cannot be written, and how much was lost when it can be again', async () => {
  const file = join(folder, 'log');
  symlinkSync('/dev/full', file);
  const complaints: string[] = [];
  const sink = new LogSink({ file, complain: (message) => complaints.push(message) });
  for (const line of ['one', 'two', 'three']) {
    sink.write(line);
    await sink.flush(FLUSH_MS);
  }
  assert.equal(complaints.length, 1);
  assert.match(complaints[0] ?? '', /^Cannot write the log file ".*log": ENOSPC.*; 1 lines are lost so far$/);
  rmSync(file);
  sink.reopen();
  sink.write('four');
  await sink.flush(FLUSH_MS);
  assert.match(
    readFileSync(file, 'utf8'),
    /^four\n\S+ warn log 3 log lines were lost: the log could not be written\n$/,
  );
});

test('LogSink begins a new file before one is too large, loses no line and keeps so many old ones', async () => {
  const file = join(folder, 'log');
  const sink = new LogSink({ file, rotation: { bytesMax: 10_000, count: 50 } });
  const lines = Array.from({ length: 5000 }, (_, i) => `line ${i}`);
  for (const [i, line] of lines.entries()) {
    sink.write(line);
    if (i % 100 === 99) await sink.flush(FLUSH_MS);
  }
  const files = readdirSync(folder).length;
  assert.ok(files >= 5, `${files} files`);
  let text = '';
  for (let i = files - 1; i >= 0; i--) {
    const part = readFileSync(i === 0 ? file : `${file}.${i}`, 'utf8');
    assert.ok(part.length <= 10_000 && part.endsWith('\n'));
    text += part;
  }
  assert.equal(text, lines.map((line) => `${line}\n`).join(''));
  sink.setRotation({ bytesMax: 10_000, count: 2 });
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  sink.reopen();
  for (const line of lines.slice(0, 4000)) {
    sink.write(line.repeat(10));
    await sink.flush(FLUSH_MS);
  }
  assert.deepEqual(readdirSync(folder).sort(), ['log', 'log.1', 'log.2']);
});

test('LogSink goes on in the old file when it cannot begin a new one, and says so', async () => {
  const file = join(folder, 'log');
  mkdirSync(join(`${file}.1`, 'not empty'), { recursive: true });
  const complaints: string[] = [];
  const rotation = { bytesMax: 100, count: 1 };
  const sink = new LogSink({ file, rotation, complain: (message) => complaints.push(message) });
  for (let i = 0; i < 30; i++) {
    sink.write(`line ${i}`);
    await sink.flush(FLUSH_MS);
  }
  assert.equal(readFileSync(file, 'utf8'), Array.from({ length: 30 }, (_, i) => `line ${i}\n`).join(''));
  assert.equal(complaints.length, 1);
  assert.match(complaints[0] ?? '', /^Cannot begin a new log file ".*log": /);
});

test('LogSink makes a file again that somebody has removed', async () => {
  const file = join(folder, 'log');
  const sink = new LogSink({ file, lookIntervalMs: 0 });
  sink.write('one');
  await sink.flush(FLUSH_MS);
  rmSync(file);
  sink.write('two');
  await sink.flush(FLUSH_MS);
  assert.equal(readFileSync(file, 'utf8'), 'two\n');
});

test('LogSink.reopen() while much is written loses no line and cuts none in two', async () => {
  const file = join(folder, 'log');
  const sink = new LogSink({ file, queueBytesMax: 1e8 });
  const long = 'x'.repeat(500);
  for (let i = 0; i < 20; i++) {
    for (let k = 0; k < 500; k++) sink.write(`${i} ${k} ${long}`);
    renameSync(file, `${file}.${i}`);
    sink.reopen();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await sink.flush(FLUSH_MS);
  const all = readdirSync(folder).flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'));
  const lines = all.filter((line) => line !== '');
  assert.equal(new Set(lines).size, 10_000);
  assert.ok(lines.every((line) => line.length >= long.length && line.endsWith(long)));
});

test('LogSink refuses a pipe that nobody reads, since to open it would wait', () => {
  const fifo = join(folder, 'fifo');
  assert.equal(spawnSync('mkfifo', [fifo]).status, 0);
  assert.throws(() => new LogSink({ file: fifo }), /^GatewayError: Cannot open the log file ".*fifo": ENXIO/);
});

test('LogSink gives lent bytes back when they are written, joined with others, dropped or not wanted', async () => {
  const file = join(folder, 'log');
  const sink = new LogSink({ file, queueBytesMax: 100 });
  const blocks = Array.from({ length: 4 }, () => new LentBlock(200));
  const sizes = [90, 30, 40, 101];
  for (const [i, block] of blocks.entries())
    sink.writeLines(block.lend(Buffer.from(`${'x'.repeat((sizes[i] as number) - 1)}\n`)), 1);
  assert.deepEqual(
    blocks.map(({ isFree }) => isFree),
    [false, false, false, true],
  );
  assert.equal(sink.lostTotal, 1);
  await sink.flush(FLUSH_MS);
  assert.ok(blocks.every(({ isFree }) => isFree));
  sink.close();
  sink.writeLines((blocks[0] as LentBlock).lend(Buffer.from('late\n')), 1);
  assert.ok(blocks[0]?.isFree);
  const lengths = readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.length);
  assert.deepEqual(lengths.slice(0, 3), [89, 29, 39]);
});

test('LogSink.close() writes what waits, and takes no more', async () => {
  const file = join(folder, 'log');
  const sink = new LogSink({ file });
  sink.writeLines(Buffer.from('one\ntwo\n'), 2);
  sink.close();
  sink.write('three');
  await sink.flush(FLUSH_MS);
  assert.equal(readFileSync(file, 'utf8'), 'one\ntwo\n');
});

test('LogSink with no file writes nowhere', async () => {
  const sink = new LogSink({ file: null });
  sink.write('lost');
  await sink.flush(FLUSH_MS);
  assert.ok(!existsSync(join(folder, 'null')));
});
