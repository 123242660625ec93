/** Folder: what a name may lead to, looked at without being opened, and what is read of it. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { FileError } from '../../src/file/file-error.ts';
import { Folder, type FolderFacts } from '../../src/file/folder.ts';
import { runSync, type Steps, type SystemCall } from '../../src/file/system-call.ts';

let outer: string;
let folder: Folder;

before(() => {
  outer = realpathSync(mkdtempSync(join(tmpdir(), 'lgateway-folder-')));
  const inner = join(outer, 'public');
  mkdirSync(join(inner, 'dir'), { recursive: true });
  mkdirSync(join(inner, '.git'));
  mkdirSync(join(outer, 'public-too'));
  writeFileSync(join(outer, 'secret'), 'secret');
  writeFileSync(join(outer, 'public-too', 'secret'), 'secret');
  writeFileSync(join(inner, 'a.txt'), 'content');
  writeFileSync(join(inner, '.git', 'config'), 'secret');
  symlinkSync('a.txt', join(inner, 'in'));
  symlinkSync('../secret', join(inner, 'out'));
  symlinkSync('../public-too', join(inner, 'beside'));
  symlinkSync('.git', join(inner, 'dotted'));
  symlinkSync('.git/config', join(inner, 'config'));
  symlinkSync('/proc/self', join(inner, 'process'));
  symlinkSync('nowhere', join(inner, 'dangling'));
  execFileSync('mkfifo', [join(inner, 'fifo')]);
  folder = new Folder(inner, (name) => !/\/\./.test(name));
});
after(() => rmSync(outer, { recursive: true, force: true }));

const ALL = { bytesMax: 1024, known: undefined };

/** Runs steps and notes the calls that a disk may hold up. */
function traced<Result>(steps: Steps<Result>, calls: SystemCall[]): Result {
  const step = (function* (): Steps<Result> {
    let state = steps.next();
    while (state.done !== true) {
      calls.push(state.value);
      let result: Parameters<Steps<Result>['next']>[0];
      try {
        result = yield state.value;
      } catch (thrown) {
        state = steps.throw(thrown);
        continue;
      }
      state = steps.next(result);
    }
    return state.value;
  })();
  return runSync(step);
}

function errorOf(run: () => unknown): string {
  try {
    run();
    return 'none';
  } catch (thrown) {
    return thrown instanceof FileError ? thrown.text : ((thrown as NodeJS.ErrnoException).code ?? 'unknown');
  }
}

test('Folder.look() reads what a link in the folder leads to', () => {
  for (const name of ['/a.txt', '/in', '/dir/../a.txt']) {
    const { facts, content } = runSync(folder.look(name, ALL, 'Cannot look'));
    equal(facts.kind, 'file');
    equal(content?.toString(), 'content', name);
  }
});

test('Folder refuses what leads out of it, or to a hidden name, whichever operation is asked for', () => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ['/out', /leads out of the folder/],
    ['/beside/secret', /leads out of the folder/],
    ['/beside', /leads out of the folder/],
    ['/../secret', /leads out of the folder/],
    ['/process/environ', /leads out of the folder/],
    ['/dotted/config', /hidden name/],
    ['/dotted', /hidden name/],
    ['/config', /hidden name/],
    ['/dangling', /ENOENT/],
    ['/a.txt/', /ENOTDIR/],
    ['/a\0', /NUL/],
    [`/${'x'.repeat(5000)}`, /File name too long/],
  ];
  for (const [name, why] of rows) {
    match(
      errorOf(() => runSync(folder.look(name, ALL, 'Cannot look'))),
      why,
      name,
    );
    match(
      errorOf(() => runSync(folder.open(name, 'Cannot open'))),
      why,
      name,
    );
    match(
      errorOf(() => runSync(folder.list(name, 10, 'Cannot list'))),
      why,
      name,
    );
  }
});

test('A folder that is the whole disk shows nothing of /proc', () => {
  const disk = new Folder('/', () => true);
  match(
    errorOf(() => runSync(disk.look('/proc/self/environ', ALL, 'Cannot look'))),
    /\/proc is not served/,
  );
  match(
    errorOf(() => runSync(disk.open('/proc/version', 'Cannot open'))),
    /\/proc is not served/,
  );
});

test('Special files are looked at and never opened', async () => {
  const server = createServer().listen(join(folder.path, 'socket'));
  await new Promise((resolve) => server.once('listening', resolve));
  symlinkSync('/dev/zero', join(outer, 'zero'));
  try {
    for (const [name, kind] of [
      ['/fifo', 'fifo'],
      ['/socket', 'socket'],
    ] as const) {
      const calls: SystemCall[] = [];
      equal(traced(folder.look(name, ALL, 'Cannot look'), calls).facts.kind, kind);
      match(
        errorOf(() => traced(folder.open(name, 'Cannot open'), calls)),
        /not a regular file/,
      );
      for (const call of calls)
        if (call.call === 'open') ok((call.flags & 0o10000000) !== 0, 'only by O_PATH');
    }
    const calls: SystemCall[] = [];
    const devices = new Folder('/dev', () => true);
    equal(traced(devices.look('/zero', ALL, 'Cannot look'), calls).facts.kind, 'device');
    for (const call of calls) if (call.call === 'open') ok((call.flags & 0o10000000) !== 0, 'only by O_PATH');
  } finally {
    server.close();
    rmSync(join(folder.path, 'socket'), { force: true });
  }
});

test('What was looked at is what is read, though its name stands for another file by then', () => {
  const name = join(folder.path, 'swapped');
  writeFileSync(name, 'first');
  symlinkSync('../secret', `${name}.new`);
  const steps = folder.look('/swapped', ALL, 'Cannot look');
  const exchanging = (function* (): ReturnType<typeof folder.look> {
    let state = steps.next();
    for (let calls = 0; state.done !== true; calls++) {
      if (calls === 1) renameSync(`${name}.new`, name);
      state = steps.next(yield state.value);
    }
    return state.value;
  })();
  equal(runSync(exchanging).content?.toString(), 'first');
  match(
    errorOf(() => runSync(folder.look('/swapped', ALL, 'Cannot look'))),
    /leads out/,
  );
});

test('Bytes are read up to the limit, and not again while the file is the same', () => {
  const size = 'content'.length;
  const look = (bytesMax: number, known?: FolderFacts): string | undefined =>
    runSync(folder.look('/a.txt', { bytesMax, known }, 'Cannot look')).content?.toString();
  equal(look(size), 'content');
  equal(look(size - 1), undefined);
  const { facts } = runSync(folder.look('/a.txt', ALL, 'Cannot look'));
  equal(look(size, facts), undefined);
  equal(look(size, { ...facts, changedMs: facts.changedMs - 1 }), 'content');
  equal(look(size, { ...facts, inode: facts.inode + 1 }), 'content');
});

test('A list has what may be seen, sorted by bytes and cut at the limit', () => {
  const names = (max: number): readonly string[] =>
    runSync(folder.list('/', max, 'Cannot list')).entries.map(({ name }) => name);
  rmSync(join(folder.path, 'swapped'), { force: true });
  deepEqual(names(10), ['a.txt', 'dir', 'in']);
  equal(runSync(folder.list('/', 3, 'Cannot list')).isCut, false);
  deepEqual(names(2), ['a.txt', 'dir']);
  equal(runSync(folder.list('/', 2, 'Cannot list')).isCut, true);
});
