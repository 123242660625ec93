/** FileSystem: modes, names of any bytes, C's errors, temporary files, FIFOs, limits and cancelling. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { test } from 'node:test';
import type { FileError } from '../../src/file/file-error.ts';
import { OperationOwner } from '../../src/file/operation-queue.ts';
import {
  bytes,
  close,
  type Fixture,
  flush,
  read,
  request,
  seek,
  taken,
  until,
  withFixture,
} from './fixture.ts';

/** For each mode: the result of reading, then of writing at the start, as C's fopen specifies it. */
const MODES: readonly (readonly [string, string | number, string | number])[] = [
  // mode, then the content after "XY" was written to a file "abc", or the errno; then the same for a missing file
  ['r', 9, 2],
  ['rb', 9, 2],
  ['w', 'XY', 'XY'],
  ['wb', 'XY', 'XY'],
  ['a', 'abcXY', 'XY'],
  ['ab', 'abcXY', 'XY'],
  ['r+', 'XYc', 2],
  ['rb+', 'XYc', 2],
  ['r+b', 'XYc', 2],
  ['w+', 'XY', 'XY'],
  ['w+b', 'XY', 'XY'],
  ['a+', 'abcXY', 'XY'],
  ['ab+', 'abcXY', 'XY'],
];

async function writeWith(fixture: Fixture, mode: string, sync: boolean): Promise<string | number> {
  try {
    const file = sync ? fixture.files.openSync('f', mode) : await fixture.open('f', mode);
    file.write(bytes('XY'));
    const error = file.takeError() ?? (sync ? file.closeSync().error : (await close(file)).error);
    file.destroy();
    return error === undefined ? readFileSync(fixture.path('f'), 'latin1') : error.errno;
  } catch (error) {
    return (error as FileError).errno;
  }
}

for (const sync of [false, true]) {
  test(
    `FileSystem.open${sync ? 'Sync' : ''}() has the modes of fopen`,
    withFixture(async (fixture) => {
      for (const [mode, present, missing] of MODES) {
        writeFileSync(fixture.path('f'), 'abc');
        assert.equal(await writeWith(fixture, mode, sync), present, `${mode} of a file`);
        execFileSync('rm', ['-f', fixture.path('f')]);
        assert.equal(await writeWith(fixture, mode, sync), missing, `${mode} of no file`);
      }
      for (const mode of ['', 'x', 'rw', 'r++', 'wx', 'br']) {
        assert.throws(() => fixture.files.open('f', mode, assert.fail), RangeError);
      }
    }),
  );
}

test(
  'FileSystem says what C says when a file cannot be opened, removed or renamed',
  withFixture(async (fixture) => {
    const said = async (run: (done: (error: FileError | undefined) => void) => void): Promise<unknown> => {
      const error = await new Promise<FileError | undefined>((resolve) => {
        let returned = false;
        run((result) => {
          assert.ok(returned, 'done is not called synchronously');
          resolve(result);
        });
        returned = true;
      });
      return error === undefined ? undefined : [error.text, error.errno, error.luaCode];
    };
    const { files } = fixture;
    mkdirSync(fixture.path('folder/full'), { recursive: true });
    writeFileSync(fixture.path('file'), '');
    assert.deepEqual(await said((done) => files.open('none', 'r', done)), [
      'No such file or directory',
      2,
      'notfound',
    ]);
    assert.deepEqual(await said((done) => files.open('', 'w', done)), [
      'No such file or directory',
      2,
      'notfound',
    ]);
    assert.deepEqual(await said((done) => files.open('file/x', 'w', done)), [
      'Not a directory',
      20,
      'notfound',
    ]);
    assert.deepEqual(await said((done) => files.open('a\0b', 'w', done)), [
      'the name holds a NUL byte',
      22,
      'invalid',
    ]);
    assert.deepEqual(await said((done) => files.open('x'.repeat(5000), 'w', done)), [
      'File name too long',
      36,
      'invalid',
    ]);
    assert.deepEqual(await said((done) => files.remove('none', done)), [
      'No such file or directory',
      2,
      'notfound',
    ]);
    assert.deepEqual(await said((done) => files.remove('folder', done)), ['Directory not empty', 39, 'io']);
    assert.equal(await said((done) => files.remove('folder/full', done)), undefined);
    assert.equal(await said((done) => files.remove('folder', done)), undefined);
    assert.deepEqual(await said((done) => files.rename('none', 'x', done)), [
      'No such file or directory',
      2,
      'notfound',
    ]);
    assert.equal(await said((done) => files.rename('file', 'moved', done)), undefined);
    assert.deepEqual(readdirSync(fixture.folder), ['moved']);
    files.renameSync('moved', 'again');
    files.removeSync('again');
    assert.throws(() => files.removeSync('again'), { errno: 2 });
    assert.throws(() => files.openSync('again', 'r'), {
      message: 'Cannot open "again": No such file or directory',
      code: 'LGW_FILE',
    });
    assert.deepEqual(readdirSync(fixture.folder), []);
  }),
);

test(
  'FileSystem.open() tells a file that may not be opened: EACCES',
  withFixture(async (fixture) => {
    // root may open every file except those that the kernel itself refuses
    const name = process.getuid?.() === 0 ? '/proc/self/attr/nothing' : 'secret';
    if (name === 'secret') writeFileSync(fixture.path(name), '', { mode: 0 });
    const expected = name === 'secret' ? { errno: 13, text: 'Permission denied' } : { errno: 2 };
    await assert.rejects(fixture.open(name, 'r'), expected);
  }),
);

test(
  'FileSystem takes names of any bytes',
  withFixture(async (fixture) => {
    let name = '';
    for (let byte = 1; byte < 256; byte++) if (byte !== 0x2f) name += String.fromCharCode(byte);
    name = name.slice(0, 250);
    const file = await fixture.open(name, 'w');
    file.write(bytes('x'));
    await close(file);
    assert.deepEqual(
      readdirSync(fixture.folder, { encoding: 'buffer' }).map((entry) => entry.toString('latin1')),
      [name],
    );
    assert.equal(fixture.files.statSync(name).size, 1);
    fixture.files.removeSync(name);
  }),
);

test(
  'FileSystem.stat() tells size and kind',
  withFixture(async (fixture) => {
    writeFileSync(fixture.path('a'), 'abc');
    const facts = await new Promise((resolve) =>
      fixture.files.stat('a', (_error, result) => resolve(result)),
    );
    const stats = statSync(fixture.path('a'));
    const { mtimeMs } = stats;
    assert.deepEqual(facts, { kind: 'file', size: 3, modifiedMs: mtimeMs, isDirectory: false, stats });
    assert.equal(fixture.files.statSync('.').isDirectory, true);
  }),
);

test(
  'FileSystem.openTemporary() gives a file without a name',
  withFixture(async (fixture) => {
    const file = await new Promise<Awaited<ReturnType<Fixture['open']>> | undefined>((resolve) =>
      fixture.files.openTemporary((_error, opened) => resolve(opened)),
    );
    assert.ok(file !== undefined);
    for (const temporary of [file, fixture.files.openTemporarySync()]) {
      temporary.write(bytes('abc'));
      assert.equal(await seek(temporary, 'set', 1), 1);
      assert.equal(await read(temporary, 5), 'bc');
      await close(temporary);
    }
    const name = fixture.files.temporaryNameSync();
    assert.deepEqual([statSync(name).size, statSync(name).mode & 0o777], [0, 0o600]);
    fixture.files.removeSync(name);
  }),
);

test(
  'FileSystem.open() refuses more files than its limit, and takes one again when one is closed',
  withFixture(
    async (fixture) => {
      const first = await fixture.open('1', 'w');
      await fixture.open('2', 'w');
      await assert.rejects(fixture.open('3', 'w'), {
        message: 'Cannot open "3": 2 files are open and the limit is 2',
        errno: 24,
        luaCode: 'limit',
      });
      const owner = new OperationOwner(fixture.share);
      assert.throws(() => fixture.files.openSync('3', 'w', owner), { errno: 24 });
      // opened by the gateway itself, as when a script is loaded
      fixture.files.openSync('3', 'w').closeSync();
      await close(first);
      await fixture.open('3', 'w');
    },
    { filesMax: 2 },
  ),
);

test(
  'FileSystem.open() can be called off at any moment, and leaks nothing',
  withFixture(
    async (fixture) => {
      writeFileSync(fixture.path('a'), '');
      const descriptors = (): number => readdirSync('/proc/self/fd').length;
      const before = descriptors();
      const opening = Array.from({ length: 20 }, () => fixture.files.open('a', 'r', assert.fail));
      for (const open of opening.slice(0, 10)) open.cancel();
      await new Promise((resolve) => setImmediate(resolve));
      for (const open of opening) open.cancel();
      await until(() => fixture.files.files === 0 && descriptors() === before);
    },
    { operationsMax: 2 },
  ),
);

test(
  'FileSystem opens a FIFO without a writer at once, and other files are served meanwhile',
  withFixture(async (fixture) => {
    writeFileSync(fixture.path('a'), 'abc');
    execFileSync('mkfifo', [fixture.path('fifo')]);
    const fifos = await Promise.all(Array.from({ length: 8 }, () => fixture.open('fifo', 'r')));
    const fifo = fifos[0];
    assert.ok(fifo !== undefined);
    for (const other of fifos.slice(1)) other.request(1, assert.fail);
    const reading = request(fifo, 5);
    const file = await fixture.open('a', 'r');
    assert.equal(await read(file, 3), 'abc');
    for (const other of fifos.slice(1)) other.destroy();
    await until(() => fixture.counters.get('files') === 2);
    const fd = openSync(fixture.path('fifo'), constants.O_WRONLY | constants.O_NONBLOCK);
    writeSync(fd, 'hello');
    await reading;
    assert.equal(taken(fifo, 5), 'hello');
    closeSync(fd);
    assert.equal(await read(fifo, 1), '');
    assert.deepEqual(await close(fifo), { error: undefined, exit: undefined });
  }),
);

test(
  'FileSystem waits for a reader of a FIFO before it opens it for writing',
  withFixture(async (fixture) => {
    execFileSync('mkfifo', [fixture.path('fifo')]);
    const called = fixture.files.open('fifo', 'w', assert.fail);
    const opening = fixture.open('fifo', 'w');
    await new Promise((resolve) => setTimeout(resolve, 50));
    called.cancel();
    const reader = await fixture.open('fifo', 'r');
    const writer = await opening;
    writer.write(bytes('hello'));
    assert.equal(await flush(writer), undefined);
    assert.equal(await read(reader, 5), 'hello');
    writer.write(bytes('bye'));
    assert.deepEqual(await close(writer), { error: undefined, exit: undefined });
    assert.equal(await read(reader, 5), 'bye');
    const error = await seek(reader, 'cur', 0);
    assert.deepEqual(typeof error === 'number' || [error.text, error.errno], ['Illegal seek', 29]);
    assert.equal(existsSync(fixture.path('fifo')), true);
  }),
);

test(
  'FileSystem reads and writes a FIFO also where no stream may have its descriptor',
  withFixture(
    async (fixture) => {
      execFileSync('mkfifo', [fixture.path('fifo')]);
      const fifo = await fixture.open('fifo', 'r+');
      fifo.write(bytes('through'));
      assert.equal(await flush(fifo), undefined);
      assert.equal(await read(fifo, 7), 'through');
      assert.equal((await close(fifo)).error, undefined);
    },
    { duplicate: () => undefined },
  ),
);

test(
  'FileSystem closes a FIFO whose descriptor cannot be duplicated',
  withFixture(
    async (fixture) => {
      execFileSync('mkfifo', [fixture.path('fifo')]);
      await assert.rejects(fixture.open('fifo', 'r+'), { errno: 24, luaCode: 'limit' });
      const links = readdirSync('/proc/self/fd').map((fd) => readlinkOf(`/proc/self/fd/${fd}`));
      assert.ok(!links.includes(fixture.path('fifo')));
    },
    {
      duplicate: () => {
        throw new Error('no descriptor is left');
      },
    },
  ),
);

/** Returns undefined for the descriptor with which the directory itself was read. */
function readlinkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
