/** OpenFile: error texts of C, failed writes, order of operations, buffering, shared files and cancelling. */
import assert from 'node:assert/strict';
import { pbkdf2 } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { bytes, close, drained, flush, read, request, seek, taken, until, withFixture } from './fixture.ts';

/** Keeps all threads of libuv's pool busy for a time, so that an operation submitted now stays in progress. */
function clogPool(): Promise<unknown> {
  const job = (): Promise<unknown> =>
    new Promise((resolve) => pbkdf2('x', 'y', 60_000, 32, 'sha512', resolve));
  return Promise.all([job(), job(), job(), job()]);
}

test(
  'OpenFile reads at the end again when the file has grown',
  withFixture(async (fixture) => {
    writeFileSync(fixture.path('log'), 'one');
    const file = await fixture.open('log', 'r');
    assert.equal(await read(file, 10), 'one');
    assert.equal(file.ended, true);
    file.clearEnd();
    assert.equal(await read(file, 10), '');
    appendFileSync(fixture.path('log'), 'two');
    file.clearEnd();
    assert.equal(await read(file, 10), 'two');
    appendFileSync(fixture.path('log'), 'three');
    assert.equal(file.fillSync(10), undefined);
    assert.equal(taken(file, 10), 'three');
  }),
);

test(
  'OpenFile reads files of /proc whole, though they say they are empty',
  withFixture(async (fixture) => {
    const file = await fixture.open('/proc/self/smaps', 'r');
    const text = await read(file, 10_000_000);
    assert.ok(text.length > 8192, `${text.length} bytes`);
    assert.match(text, /VmFlags.*\n$/);
  }),
);

test(
  'OpenFile opens a directory for reading, and reading fails with EISDIR, as in C',
  withFixture(async (fixture) => {
    mkdirSync(fixture.path('folder'));
    const file = await fixture.open('folder', 'r');
    await request(file, 1);
    assert.equal(file.ended, true);
    const error = file.takeError();
    assert.deepEqual([error?.text, error?.errno], ['Is a directory', 21]);
    assert.equal(file.fillSync(1)?.errno, 21);
    await assert.rejects(fixture.open('folder', 'w'), { errno: 21, text: 'Is a directory' });
  }),
);

test(
  'OpenFile refuses the wrong direction with EBADF',
  withFixture(async (fixture) => {
    writeFileSync(fixture.path('a'), 'abc');
    const reader = await fixture.open('a', 'r');
    assert.equal(reader.write(bytes('x')), true);
    const error = reader.takeError();
    assert.deepEqual([error?.text, error?.errno, error?.luaCode], ['Bad file descriptor', 9, 'closed']);
    assert.equal(await read(reader, 3), 'abc');
    const writer = await fixture.open('b', 'w');
    await request(writer, 1);
    assert.equal(writer.takeError()?.errno, 9);
    writer.write(bytes('ok'));
    assert.equal((await close(writer)).error, undefined);
    assert.equal(readFileSync(fixture.path('b'), 'latin1'), 'ok');
    writer.write(bytes('late'));
    assert.equal(writer.takeError()?.errno, 9);
    assert.equal((await flush(writer))?.errno, 9);
    assert.deepEqual(await close(writer), { error: undefined, exit: undefined });
    assert.deepEqual(writer.closeSync(), { error: undefined, exit: undefined });
  }),
);

test(
  'OpenFile reports a full disk once: by flush, by close, by seek, by a synchronous flush or by the next look',
  withFixture(async (fixture) => {
    const file = await fixture.open('/dev/full', 'w');
    file.write(bytes('x'));
    const error = await flush(file);
    assert.deepEqual([error?.text, error?.errno], ['No space left on device', 28]);
    assert.equal(await flush(file), undefined);
    file.write(bytes('x'));
    assert.equal(file.flushSync()?.errno, 28);
    file.write(bytes('x'));
    await until(() => file.error !== undefined);
    file.write(bytes('dropped'));
    assert.equal(file.takeError()?.errno, 28);
    assert.equal(file.takeError(), undefined);
    file.write(bytes('x'));
    const position = await seek(file, 'set', 0);
    assert.equal(typeof position === 'number' || position.errno, 28);
    for (let i = 0; i < 100; i++) if (!file.write(Buffer.alloc(65_536))) await drained(file);
    assert.equal((await close(file)).error?.errno, 28);
    const other = await fixture.open('/dev/full', 'w');
    other.write(bytes('x'));
    assert.equal(other.closeSync().error?.errno, 28);
  }),
);

test(
  'OpenFile takes no more than its bound before it asks the writer to wait',
  withFixture(async (fixture) => {
    const clogged = clogPool();
    const file = fixture.files.openSync('big', 'w');
    let count = 0;
    while (file.write(Buffer.alloc(65_536, count))) count += 1;
    assert.ok(count < 16, `${count} blocks of 64 KiB`);
    assert.ok(file.unwritten <= 1024 * 1024);
    await drained(file);
    assert.ok(file.unwritten < 512 * 1024);
    await clogged;
  }),
);

test(
  'OpenFile overtakes a write in flight without losing what is written to the same place afterwards',
  withFixture(async (fixture) => {
    const clogged = clogPool();
    const file = fixture.files.openSync('a', 'w+');
    file.write(bytes('aaaaaaaaaa'));
    file.flush(() => {});
    assert.equal(file.seekSync('set', 2), 2);
    assert.equal(readFileSync(fixture.path('a'), 'latin1'), 'aaaaaaaaaa');
    file.write(bytes('bbb'));
    assert.equal(file.flushSync(), undefined);
    assert.equal(file.seekSync('set', 8), 8);
    file.write(bytes('cccc'));
    assert.equal(file.seekSync('set', 0), 0);
    assert.equal(file.fillSync(100), undefined);
    assert.equal(taken(file, 100), 'aabbbaaacccc');
    await clogged;
    await close(file);
    assert.equal(readFileSync(fixture.path('a'), 'latin1'), 'aabbbaaacccc');
  }),
);

test(
  'OpenFile appends once what a synchronous flush finds in flight',
  withFixture(async (fixture) => {
    const clogged = clogPool();
    const file = fixture.files.openSync('a', 'a');
    file.write(bytes('one '));
    file.flush(() => {});
    file.write(bytes('two '));
    assert.equal(file.flushSync(), undefined);
    assert.equal(readFileSync(fixture.path('a'), 'latin1'), 'one two ');
    file.write(bytes('three'));
    assert.deepEqual(file.closeSync(), { error: undefined, exit: undefined });
    await clogged;
    assert.equal(readFileSync(fixture.path('a'), 'latin1'), 'one two three');
  }),
);

test(
  'OpenFile appends behind what others have appended, and tells that position',
  withFixture(async (fixture) => {
    writeFileSync(fixture.path('a'), '12345');
    const file = await fixture.open('a', 'a');
    assert.equal(await seek(file, 'cur', 0), 5);
    const update = await fixture.open('a', 'a+');
    assert.equal(await seek(update, 'cur', 0), 0);
    appendFileSync(fixture.path('a'), '678');
    file.write(bytes('9'));
    assert.equal(await seek(file, 'cur', 0), 9);
    await seek(file, 'set', 0);
    file.write(bytes('!'));
    await flush(file);
    assert.equal(readFileSync(fixture.path('a'), 'latin1'), '123456789!');
  }),
);

test(
  'OpenFile brings writes to the disk by itself after a short time',
  withFixture(async (fixture) => {
    const file = await fixture.open('a', 'w');
    const started = performance.now();
    file.write(bytes('x'));
    assert.equal(readFileSync(fixture.path('a')).length, 0);
    await until(() => file.unwritten === 0);
    assert.ok(performance.now() - started < 20_000);
    assert.equal(readFileSync(fixture.path('a')).length, 1);
  }),
);

test(
  'OpenFile.setBuffering() hands on every write, or every line',
  withFixture(async (fixture) => {
    const file = await fixture.open('a', 'w');
    /** Measures at best how many milliseconds pass until `text` leaves the buffer: full buffering waits 50. Tries until it is `soon`. */
    const leaves = async (text: string, soon = Infinity): Promise<number> => {
      let best = Infinity;
      for (let i = 0; i < 5 || (best >= soon && i < 1000); i++) {
        const started = performance.now();
        file.write(bytes(text));
        await until(() => file.unwritten === 0);
        best = Math.min(best, performance.now() - started);
      }
      return best;
    };
    assert.ok((await leaves('a')) > 40);
    file.setBuffering('no');
    assert.ok((await leaves('a', 30)) < 30);
    file.setBuffering('line');
    assert.ok((await leaves('a')) > 40);
    assert.ok((await leaves('b\n', 30)) < 30);
  }),
);

test(
  'OpenFile serves several readers and writers that share it, in order',
  withFixture(async (fixture) => {
    writeFileSync(fixture.path('a'), 'abcdef');
    const file = await fixture.open('a', 'r+');
    const [first, second] = await Promise.all([read(file, 2), read(file, 2)]);
    assert.deepEqual([first, second], ['ab', 'cd']);
    file.request(4, assert.fail);
    const pending = request(file, 1);
    file.cancelRequest(assert.fail);
    await pending;
    file.write(bytes('X'));
    assert.deepEqual(await Promise.all([flush(file), flush(file), seek(file, 'cur', 0)]), [
      undefined,
      undefined,
      5,
    ]);
    assert.equal(readFileSync(fixture.path('a'), 'latin1'), 'abcdXf');
  }),
);

test(
  'OpenFile.close() answers a reader that waits, with EBADF',
  withFixture(async (fixture) => {
    writeFileSync(fixture.path('a'), 'abc');
    const file = await fixture.open('a', 'r');
    const waiting = request(file, 10);
    const closing = close(file);
    await waiting;
    assert.equal(file.ended, true);
    await closing;
    assert.equal(file.state, 'closed');
  }),
);

test(
  'OpenFile.destroy() calls nobody back, writes what was gathered and closes',
  withFixture(async (fixture) => {
    const clogged = clogPool();
    const file = fixture.files.openSync('a', 'w+');
    file.write(bytes('kept'));
    file.flush(assert.fail);
    file.whenDrained(assert.fail);
    file.write(bytes(' too'));
    file.request(1, assert.fail);
    file.close(assert.fail);
    file.destroy();
    file.destroy();
    await clogged;
    await until(() => fixture.counters.get('files') === 0);
    assert.equal(readFileSync(fixture.path('a'), 'latin1'), 'kept too');
  }),
);

test(
  'OpenFile.seek() refuses positions before the start and past 2^53',
  withFixture(async (fixture) => {
    writeFileSync(fixture.path('a'), 'abc');
    const file = await fixture.open('a', 'r+');
    const before = await seek(file, 'set', -1);
    assert.deepEqual(typeof before === 'number' || [before.text, before.errno], ['Invalid argument', 22]);
    const behind = file.seekSync('end', Number.MAX_SAFE_INTEGER);
    assert.equal(typeof behind === 'number' || behind.errno, 75);
    assert.equal(await seek(file, 'end', 2), 5);
    assert.equal(await read(file, 1), '');
    file.write(bytes('x'));
    await close(file);
    assert.deepEqual(readFileSync(fixture.path('a')), bytes('abc\0\0x'));
  }),
);

test(
  'OpenFile reads and writes devices',
  withFixture(async (fixture) => {
    const zero = await fixture.open('/dev/zero', 'r');
    assert.equal(await read(zero, 100_000), '\0'.repeat(100_000));
    const nothing = await fixture.open('/dev/null', 'r+');
    nothing.write(bytes('x'));
    assert.equal(await read(nothing, 1), '');
    assert.equal(await seek(nothing, 'set', 0), 0);
    const random = await fixture.open('/dev/urandom', 'r');
    assert.equal((await read(random, 16)).length, 16);
  }),
);

/** Alone it is above 0.8; where each small piece is an operation of its own, some 0.1. The rest is for a busy machine. */
const RATIO_MIN = 0.4;

test(
  'OpenFile reads small pieces nearly as fast as large ones',
  withFixture(async (fixture) => {
    writeFileSync(fixture.path('big'), Buffer.alloc(64 * 1024 * 1024, 'x'));
    const target = new Uint8Array(65_536);
    const measure = async (size: number): Promise<number> => {
      const file = await fixture.open('big', 'r');
      const started = performance.now();
      for (;;) {
        if (file.queue.length < size) await request(file, size);
        const n = Math.min(size, file.queue.length);
        if (n === 0) break;
        file.queue.takeInto(target, 0, n);
        file.consumed();
      }
      const ms = performance.now() - started;
      await close(file);
      return ms;
    };
    const best = { small: Infinity, large: Infinity };
    // repeats, because other programs may disturb one comparison
    for (let i = 0; i < 60 && (i < 3 || best.large / best.small < RATIO_MIN); i++) {
      best.large = Math.min(best.large, await measure(65_536));
      best.small = Math.min(best.small, await measure(4096));
    }
    assert.ok(
      best.large / best.small >= RATIO_MIN,
      `${best.small} ms for 4 KiB, ${best.large} ms for 64 KiB`,
    );
  }),
);
