/** Root serves names inside the root and refuses every way out, also while another process moves directories. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { FileError } from '../../src/file/file-error.ts';
import { close, Fixture, read, until } from './fixture.ts';

/** A folder with `root`, and beside it `outside` with a secret file; `rooted-sibling` has the name of the root as prefix. */
interface Scene {
  readonly base: string;
  readonly root: string;
  readonly fixture: Fixture;
}

function withScene(run: (scene: Scene) => Promise<void>): () => Promise<void> {
  return async () => {
    const base = mkdtempSync(join(tmpdir(), 'lgateway-root-'));
    const root = join(base, 'root');
    for (const folder of ['root/sub/deep', 'outside', 'root-sibling'])
      mkdirSync(join(base, folder), { recursive: true });
    for (const name of ['outside/secret', 'root-sibling/secret']) writeFileSync(join(base, name), 'SECRET');
    writeFileSync(join(root, 'inside'), 'inside');
    writeFileSync(join(root, 'sub/deep/file'), 'deep');
    const fixture = new Fixture({ root });
    try {
      await run({ base, root, fixture });
    } finally {
      await fixture.end();
      rmSync(base, { recursive: true });
    }
  };
}

/** Resolves with the content of the file or with the error number. */
async function outcome({ fixture }: Scene, name: string, mode = 'r'): Promise<string | number> {
  let sync: string | number;
  try {
    const file = fixture.files.openSync(name, mode);
    file.fillSync(100);
    sync = Buffer.from(file.queue.take(file.queue.length)).toString();
    file.closeSync();
  } catch (error) {
    sync = (error as FileError).errno;
  }
  let waited: string | number;
  try {
    const file = await fixture.open(name, mode);
    waited = await read(file, 100);
    await close(file);
  } catch (error) {
    waited = (error as FileError).errno;
  }
  assert.equal(sync, waited, 'both ways of opening say the same');
  return waited;
}

const EACCES = 13;
const ENOENT = 2;
const EINVAL = 22;
const ELOOP = 40;

test(
  'Root serves names inside, through links that stay inside',
  withScene(async (scene) => {
    const { root } = scene;
    symlinkSync('sub/deep', join(root, 'short'));
    symlinkSync('short', join(root, 'chain'));
    symlinkSync('../chain/file', join(root, 'sub/link'));
    symlinkSync(join(root, 'inside'), join(root, 'absolute'));
    symlinkSync(root, join(root, 'sub/top'));
    symlinkSync('..', join(root, 'sub/up'));
    const names = {
      inside: 'inside',
      './inside': 'inside',
      'sub/../inside': 'inside',
      'sub//deep/./file': 'deep',
    };
    for (const [name, content] of Object.entries(names))
      assert.equal(await outcome(scene, name), content, name);
    const links = { 'short/file': 'deep', 'chain/file': 'deep', 'sub/link': 'deep', absolute: 'inside' };
    for (const [name, content] of Object.entries(links))
      assert.equal(await outcome(scene, name), content, name);
    assert.equal(await outcome(scene, 'sub/top/inside'), 'inside');
    assert.equal(await outcome(scene, 'sub/up/inside'), 'inside');
    assert.equal(await outcome(scene, 'short/../deep/file'), 'deep');
    const made = await scene.fixture.open('sub/new', 'w');
    await close(made);
    assert.ok(existsSync(join(root, 'sub/new')));
    // opening a link to a missing name creates the file where the link points
    symlinkSync('deep/made', join(root, 'sub/pending'));
    await close(await scene.fixture.open('sub/pending', 'w'));
    assert.ok(existsSync(join(root, 'sub/deep/made')));
    for (const name of ['.', 'sub', 'sub/', 'sub/top', 'sub/..', 'chain/']) {
      assert.equal(scene.fixture.files.statSync(name).isDirectory, true, name);
    }
  }),
);

test(
  'An absolute name begins at the root, and what is only outside is not there',
  withScene(async (scene) => {
    const { root } = scene;
    assert.equal(await outcome(scene, '/inside'), 'inside');
    assert.equal(await outcome(scene, '//sub/deep/file'), 'deep');
    assert.equal(scene.fixture.files.statSync('/').isDirectory, true);
    for (const name of ['/etc/passwd', '/proc/self/fd/0', join(root, 'inside')])
      assert.equal(await outcome(scene, name), ENOENT, name);
    await close(await scene.fixture.open('/sub/fresh', 'w'));
    assert.ok(existsSync(join(root, 'sub/fresh')));
    scene.fixture.files.renameSync('/sub/fresh', '/moved');
    assert.ok(existsSync(join(root, 'moved')));
    assert.throws(() => scene.fixture.files.removeSync('/'), { errno: EINVAL });
    scene.fixture.files.removeSync('/moved');
    assert.ok(!existsSync(join(root, 'moved')));
  }),
);

test(
  'Root refuses every name and link that leads out',
  withScene(async (scene) => {
    const { base, root } = scene;
    symlinkSync('../outside', join(root, 'folder'));
    symlinkSync('../outside/secret', join(root, 'file'));
    symlinkSync('file', join(root, 'chain'));
    symlinkSync(join(base, 'outside/secret'), join(root, 'absolute'));
    symlinkSync('/', join(root, 'slash'));
    symlinkSync('..', join(root, 'up'));
    symlinkSync('../root-sibling', join(root, 'sibling'));
    symlinkSync('/proc/self/root/etc/passwd', join(root, 'magic'));
    symlinkSync('../outside/new', join(root, 'pending'));
    const names = [
      '/../outside/secret',
      '/folder/secret',
      '..',
      '../outside/secret',
      'sub/../../outside/secret',
      'a/../../x',
      './../x',
      'sub/deep/../../../x',
      'folder/secret',
      'folder/',
      'folder/.',
      'folder/new',
      'file',
      'chain',
      'absolute',
      'slash',
      'slash/etc/passwd',
      `slash${base}/outside/secret`,
      'up/outside/secret',
      'up',
      'up/',
      'sibling/secret',
      'magic',
      'pending',
      'folder/../../outside/secret',
    ];
    for (const mode of ['r', 'w', 'a', 'r+']) {
      for (const name of names) assert.equal(await outcome(scene, name, mode), EACCES, `${name} ${mode}`);
    }
    for (const name of names) {
      assert.throws(() => scene.fixture.files.statSync(name), { errno: EACCES }, name);
      assert.throws(
        () => scene.fixture.files.renameSync('inside', `${name}/x`),
        // a link to a file is no directory
        (error: FileError) => error.errno === EACCES || error.errno === 20,
        name,
      );
    }
    for (const name of ['folder/secret', '../outside/secret', 'up/outside/secret', 'slash/etc/passwd']) {
      assert.throws(() => scene.fixture.files.removeSync(name), { errno: EACCES }, name);
      assert.throws(() => scene.fixture.files.renameSync(name, 'mine'), { errno: EACCES }, name);
    }
    assert.deepEqual(readdirSync(join(base, 'outside')), ['secret']);
    assert.equal(readFileSync(join(base, 'outside/secret'), 'latin1'), 'SECRET');
    // the link itself is inside, so it may be removed; its target stays
    scene.fixture.files.removeSync('file');
    assert.equal(existsSync(join(base, 'outside/secret')), true);
  }),
);

test(
  'Root refuses odd names as C would, or better',
  withScene(async (scene) => {
    assert.equal(await outcome(scene, 'inside\0/../../x'), 22);
    assert.equal(await outcome(scene, ''), ENOENT);
    assert.equal(await outcome(scene, 'none'), ENOENT);
    assert.equal(await outcome(scene, 'none/x'), ENOENT);
    for (const name of [
      'none/',
      'none/..',
      'none/../inside',
      'none/../../root/inside/..',
      'none/./../..//inside',
    ]) {
      assert.ok([ENOENT, EACCES].includes((await outcome(scene, name)) as number), name);
    }
    assert.equal(await outcome(scene, 'none/../inside'), ENOENT);
    assert.equal(await outcome(scene, 'inside/../inside'), 20);
    assert.equal(await outcome(scene, 'none/'.repeat(800)), ENOENT);
    assert.equal(await outcome(scene, 'inside/'), 20);
    assert.equal(await outcome(scene, 'inside/x'), 20);
    assert.equal(await outcome(scene, 'x'.repeat(256)), 36);
    assert.equal(await outcome(scene, 'x/'.repeat(5000)), 36);
    symlinkSync('loop', join(scene.root, 'loop'));
    assert.equal(await outcome(scene, 'loop'), ELOOP);
  }),
);

test(
  'Root follows forty links for one name, in whatever part of it they stand',
  withScene(async (scene) => {
    symlinkSync('inside', join(scene.root, 'chain-1'));
    for (let i = 2; i <= 41; i++) symlinkSync(`chain-${i - 1}`, join(scene.root, `chain-${i}`));
    assert.equal(await outcome(scene, 'chain-40'), 'inside');
    assert.equal(await outcome(scene, 'chain-41'), ELOOP);
    // two links that lead to each other, the second one below the first
    symlinkSync('loop-b', join(scene.root, 'loop-a'));
    symlinkSync('loop-a/x', join(scene.root, 'loop-b'));
    for (const name of ['loop-a', 'loop-b', 'loop-a/', 'loop-a/y', 'loop-b/y/z', 'sub/../loop-a'])
      assert.equal(await outcome(scene, name), ELOOP, name);
  }),
);

test(
  'Root keeps temporary files inside',
  withScene(async ({ root, fixture }) => {
    const name = fixture.files.temporaryNameSync();
    assert.match(name, /^lua_/);
    assert.ok(existsSync(join(root, name)));
    fixture.files.removeSync(name);
    const before = readdirSync(root);
    const file = fixture.files.openTemporarySync();
    assert.deepEqual(readdirSync(root), before);
    await close(file);
  }),
);

test('Root does not lead into /proc, even when it holds it', async () => {
  const fixture = new Fixture({ root: '/' });
  for (const name of [
    'proc/self/environ',
    'proc/self/fd/0',

    'dev/../proc/self/mem',
  ]) {
    await assert.rejects(fixture.open(name, 'r'), { errno: EACCES }, name);
  }
  await close(await fixture.open('etc/passwd', 'r'));
  await fixture.end();
});

test(
  'Root never opens what is outside while directories are swapped for links',
  withScene(async (scene) => {
    const { base, root, fixture } = scene;
    mkdirSync(join(root, 'swap'));
    writeFileSync(join(root, 'swap/secret'), 'harmless');
    symlinkSync(join(base, 'outside'), join(root, 'evil'));
    symlinkSync(join(base, 'outside/secret'), join(root, 'evil-file'));
    writeFileSync(join(root, 'plain'), 'harmless');
    // exchanges a directory with a link, and a file with a link, until it is killed
    const script = `
      const fs = require('node:fs');
      process.chdir(${JSON.stringify(root)});
      for (;;) for (const [a, b] of [['swap', 'evil'], ['plain', 'evil-file']]) {
        fs.renameSync(a, a + '.x'); fs.renameSync(b, a); fs.renameSync(a + '.x', b);
      }`;
    const swapper: ChildProcess = spawn(process.execPath, ['-e', script], { stdio: 'ignore' });
    const results = new Map<string, number>();
    const deadline = Date.now() + 1500;
    while (Date.now() < deadline) {
      for (const name of ['swap/secret', 'plain', 'swap/made']) {
        for (const mode of name === 'swap/made' ? ['w'] : ['r', 'r+']) {
          const result = await raced(fixture, name, mode);
          results.set(result, (results.get(result) ?? 0) + 1);
        }
      }
    }
    swapper.kill('SIGKILL');
    await until(() => swapper.exitCode !== null || swapper.signalCode !== null);
    assert.equal(results.has('SECRET'), false);
    assert.ok((results.get('harmless') ?? 0) > 0 && results.size > 1, JSON.stringify([...results]));
    assert.deepEqual(readdirSync(join(base, 'outside')), ['secret']);
  }),
);

async function raced(fixture: Fixture, name: string, mode: string): Promise<string> {
  try {
    const file = await fixture.open(name, mode);
    const content = mode === 'w' ? 'made' : await read(file, 100);
    await close(file);
    return content;
  } catch (error) {
    return String((error as FileError).errno);
  }
}
