/** A look at a disk that never answers: requests give up, and nobody else is held up by them. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { mock, test } from 'node:test';
import { FileError } from '../../src/file/file-error.ts';
import type { FileSystem } from '../../src/file/file-system.ts';
import { errnoOf } from '../../src/file/strerror.ts';
import { Shares } from '../../src/mapping/shares.ts';
import { DEFAULT_STATIC_SETTINGS } from '../../src/mapping/static-settings.ts';
import { CurrentFolder } from '../../src/static/current-folder.ts';
import { StaticCache } from '../../src/static/static-cache.ts';
import { StaticEntry } from '../../src/static/static-entry.ts';
import type { StaticForm } from '../../src/static/static-form.ts';
import { StaticLookup } from '../../src/static/static-lookup.ts';

const LOOK_MS_MAX = 30_000;

test('A request gives a look up after 30 seconds, and one that has been cancelled hears nothing', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    // no real file system can be made to hang here: this one never calls back
    const fileSystem = { findFolder: () => ({ cancel: () => undefined }) } as unknown as FileSystem;
    const limits = {
      files: 8,
      processes: 1,
      fetches: 1,
      sockets: 1,
      tasks: 1,
      timers: 1,
      subscriptions: 10,
      messageBytes: 10,
      storeCalls: 10,
      websockets: 1,
    };
    const share = new Shares({ limits, percent: 100 }).of('/');
    const cache = new StaticCache();
    const folder = new CurrentFolder('/nowhere', fileSystem, share, () => undefined);
    const parts = { folder, fileSystem, share, settings: DEFAULT_STATIC_SETTINGS, loans: cache.loans };
    const entry = new StaticEntry('/a', parts, cache, new Map());
    const found: (StaticForm | FileError)[] = [];
    const lookups = [1, 2, 3].map(() => new StaticLookup(entry, [], (what) => found.push(what)));
    for (const lookup of lookups) lookup.start();
    lookups[1]?.cancel();
    mock.timers.tick(LOOK_MS_MAX - 1);
    equal(found.length, 0);
    mock.timers.tick(1);
    deepEqual(
      found.map((what) => what instanceof FileError && what.errno),
      [errnoOf('ETIMEDOUT'), errnoOf('ETIMEDOUT')],
    );
    ok(found[0] instanceof FileError && /has not answered for 30 seconds/.test(found[0].message));
    equal(cache.entries, 0);
  } finally {
    mock.timers.reset();
  }
});
