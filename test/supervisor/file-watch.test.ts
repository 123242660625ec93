/** Changes of watched files are noticed however editors save, as one where they come together, and where no events come. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { EventEmitter, on } from 'node:events';
import {
  type FSWatcher,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { parsePlainWords } from '../../src/config/plain-words.ts';
import { FileWatch, type FileWatchOptions } from '../../src/supervisor/file-watch.ts';
import { lookAt, WATCH_BOUNDS, type WatchTargets, watchTargets } from '../../src/supervisor/watched-files.ts';

const WAIT_MAX_MS = 60_000;

let folder: string;
let saved = 0;
const open = new Set<Watched>();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-watch-'));
  for (const inner of ['lib/deep', 'node_modules', '.git', 'site'])
    mkdirSync(path(inner), { recursive: true });
  for (const name of ['app.lua', 'cert.pem', 'lib/a.lua', 'lib/deep/b.lua', 'data.txt']) save(name);
  for (const name of ['node_modules/n.lua', '.git/g.lua', 'site/s.lua', 'lib/.a.lua']) save(name);
});

afterEach(() => {
  for (const one of open) one.watch.close();
  open.clear();
  rmSync(folder, { recursive: true, force: true });
});

const path = (name: string): string => join(folder, name);
const save = (name: string): void => writeFileSync(path(name), `-- ${++saved}`);

const targets = (): WatchTargets => ({
  files: [path('app.lua'), path('cert.pem')],
  trees: [folder],
  excluded: [path('site')],
});

/** A watch that has started, and the changes that it tells. */
class Watched {
  readonly watch: FileWatch;
  readonly warnings: string[] = [];
  readonly infos: string[] = [];
  calls = 0;
  /** What `changed` waits for. */
  working: Promise<void> | undefined;
  readonly #heard = new EventEmitter();
  readonly #changes = on(this.#heard, 'changed', { signal: AbortSignal.timeout(WAIT_MAX_MS) });

  constructor(options: Partial<FileWatchOptions> = {}) {
    this.watch = new FileWatch({
      targets,
      changed: async (files) => {
        this.calls += 1;
        this.#heard.emit('changed', files);
        await this.working;
      },
      logger: { info: (text) => this.infos.push(text), warn: (text) => this.warnings.push(text) },
      ...options,
    });
    open.add(this);
  }

  async start(): Promise<this> {
    await this.watch.start();
    return this;
  }

  /** The names of the next change that was not asked for yet. */
  async next(): Promise<string[]> {
    const { value } = await this.#changes.next();
    const [files] = value as [readonly string[]];
    return files.map((file) => relative(folder, file)).sort();
  }
}

describe('a watch of files', () => {
  test('says what it watches, and tells files that are written, replaced, made and removed', async () => {
    const watched = await new Watched().start();
    deepEqual(watched.infos, ['Watching 4 files in 3 folders: a change reloads']);
    save('app.lua');
    deepEqual(await watched.next(), ['app.lua']);
    save('app.lua~');
    renameSync(path('app.lua~'), path('app.lua'));
    deepEqual(await watched.next(), ['app.lua']);
    save('lib/new.lua');
    deepEqual(await watched.next(), ['lib/new.lua']);
    save('lib/new.lua');
    deepEqual(await watched.next(), ['lib/new.lua']);
    rmSync(path('lib/deep/b.lua'));
    deepEqual(await watched.next(), ['lib/deep/b.lua']);
    rmSync(path('cert.pem'));
    deepEqual(await watched.next(), ['cert.pem']);
    save('cert.pem');
    deepEqual(await watched.next(), ['cert.pem']);
    equal(watched.calls, 7);
    deepEqual(watched.warnings, []);
  });

  test('tells a burst as one change, and nothing of what is not watched', async () => {
    const watched = await new Watched().start();
    for (const name of ['data.txt', 'node_modules/n.lua', '.git/g.lua', 'site/s.lua', 'lib/.a.lua', 'x.tmp'])
      save(name);
    for (let i = 0; i < 20; i++) save(`lib/${i % 5}.lua`);
    deepEqual(
      await watched.next(),
      [0, 1, 2, 3, 4].map((i) => `lib/${i}.lua`),
    );
    save('app.lua');
    deepEqual(await watched.next(), ['app.lua']);
    equal(watched.calls, 2);
  });

  test('tells a change during the work of another one when that is done', async () => {
    const watched = await new Watched().start();
    let done: (() => void) | undefined;
    watched.working = new Promise((resolve) => {
      done = resolve;
    });
    save('app.lua');
    deepEqual(await watched.next(), ['app.lua']);
    save('lib/a.lua');
    equal(watched.calls, 1);
    done?.();
    deepEqual(await watched.next(), ['lib/a.lua']);
  });

  test('watches new folders, and one that was removed and made again', async () => {
    const watched = await new Watched().start();
    mkdirSync(path('lib/more'));
    save('lib/more/c.lua');
    deepEqual(await watched.next(), ['lib/more/c.lua']);
    save('lib/more/c.lua');
    deepEqual(await watched.next(), ['lib/more/c.lua']);
    rmSync(path('lib'), { recursive: true });
    deepEqual(await watched.next(), ['lib/a.lua', 'lib/deep/b.lua', 'lib/more/c.lua']);
    mkdirSync(path('lib'));
    save('lib/a.lua');
    deepEqual(await watched.next(), ['lib/a.lua']);
    save('lib/a.lua');
    deepEqual(await watched.next(), ['lib/a.lua']);
  });

  test('notices that a folder of its targets comes back', async () => {
    const away = (): WatchTargets => ({ files: [path('lib/a.lua')], trees: [path('lib')], excluded: [] });
    const watched = await new Watched({ targets: away, times: { pollMs: 20 } }).start();
    rmSync(path('lib'), { recursive: true });
    deepEqual(await watched.next(), ['lib/a.lua', 'lib/deep/b.lua']);
    mkdirSync(path('lib'));
    save('lib/a.lua');
    deepEqual(await watched.next(), ['lib/a.lua']);
    save('lib/a.lua');
    deepEqual(await watched.next(), ['lib/a.lua']);
  });

  test('follows targets that change, and takes none of their files for changed', async () => {
    let now: WatchTargets = { files: [path('app.lua')], trees: [], excluded: [] };
    const watched = await new Watched({ targets: () => now }).start();
    now = { files: [path('app.lua'), path('lib/a.lua')], trees: [], excluded: [] };
    watched.watch.renew();
    save('app.lua');
    deepEqual(await watched.next(), ['app.lua']);
    save('lib/a.lua');
    deepEqual(await watched.next(), ['lib/a.lua']);
  });

  for (const [why, options, reason] of [
    ['the kernel has no watch left', { watchFolder: () => fail('ENOSPC') }, /\(ENOSPC/],
    ['the disk is one of another machine', { isRemote: async () => true }, /is on a disk that may change/],
    ['a watch breaks', { watchFolder: () => breaking() }, /\(EIO/],
  ] as const)
    test(`looks at all files again and again where ${why}`, async () => {
      const watched = await new Watched({ ...options, times: { pollMs: 20 } }).start();
      save('app.lua');
      deepEqual(await watched.next(), ['app.lua']);
      save('lib/new.lua');
      deepEqual(await watched.next(), ['lib/new.lua']);
      equal(watched.warnings.length, 1);
      match(watched.warnings[0] ?? '', reason);
      match(watched.warnings[0] ?? '', /: all files are looked at every 20 ms$/);
    });

  test('says once what a limit leaves out', async () => {
    const bounds = { ...WATCH_BOUNDS, filesMax: 3 };
    const watched = await new Watched({ bounds }).start();
    save('app.lua');
    await watched.next();
    save('app.lua');
    await watched.next();
    deepEqual(watched.warnings, [
      `Not all files are watched: the limit is 3 files, and "${path('lib/deep/b.lua')}" is one more`,
    ]);
  });
});

function fail(code: string): never {
  throw Object.assign(new Error(`${code}: no watch`), { code });
}

/** A watch that ends with an error. */
function breaking(): FSWatcher {
  const watcher = Object.assign(new EventEmitter(), { close: () => undefined });
  setImmediate(() => watcher.emit('error', new Error('EIO: broken')));
  return watcher as unknown as FSWatcher;
}

describe('a look at watched files', () => {
  test('keeps to its bounds, at the bound and one above', async () => {
    const at = { foldersMax: 3, filesMax: 4, entriesMax: 11 };
    equal((await lookAt(targets(), at)).leftOut, undefined);
    for (const [name, text] of [
      ['foldersMax', /limit is 2 folders, and ".*lib\/deep" is one more/],
      ['filesMax', /limit is 3 files, and ".*b\.lua" is one more/],
      ['entriesMax', /limit is 10 names in all folders, and ".*" has more/],
    ] as const)
      match((await lookAt(targets(), { ...at, [name]: at[name] - 1 })).leftOut ?? '', text);
  });

  test('does not follow folders behind links', async () => {
    symlinkSync(folder, path('lib/circle'));
    equal((await lookAt(targets())).folders.size, 3);
  });

  test('finds scripts inside their root, and leaves out folders that are served', () => {
    const config = parsePlainWords(['-l', '/', '/web/app.lua', '-r', '/srv', '-c', 'c.pem', '-k', 'k.pem']);
    const wanted = config && watchTargets(config, 'lgateway.toml');
    deepEqual(wanted, {
      files: [
        join(process.cwd(), 'lgateway.toml'),
        join(process.cwd(), 'c.pem'),
        join(process.cwd(), 'k.pem'),
        '/srv/web/app.lua',
      ],
      trees: ['/srv/web'],
      excluded: [],
    });
    const served = parsePlainWords(['-l', '/', path('app.lua'), '-l', '/site', `${path('site')}/`]);
    deepEqual(served && watchTargets(served, undefined).excluded, [path('site')]);
  });
});
