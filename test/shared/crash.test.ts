/** A thread that ends or throws in the middle of an operation leaves no lock held, and costs at most the current entry. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { HEADER, layoutOf, viewsOf } from '../../src/shared/layout.ts';
import type { SharedDictionary } from '../../src/shared/shared-dictionary.ts';
import { createSharedMemory, releaseOwner, type SharedMemory } from '../../src/shared/shared-memory.ts';
import { checkDictionary } from './check-dictionary.ts';
import { DEADLY_OPERATIONS, fullDictionary, LATER, openAt } from './deadly-operations.ts';
import type { DyingThreadData } from './dying-thread.ts';
import { mortalViews } from './mortal-views.ts';

const WRITES_MAX = 1000;
const DEAD_OWNER = 5;
const NOTHING_SHARED = createSharedMemory([]);

function contents(dictionary: SharedDictionary): Map<string, unknown> {
  const keys = dictionary.keys().reverse();
  return new Map(keys.map((key) => [key, dictionary.get(key)]));
}

/** Reads what another thread finds; `keys` gives the order of use. */
function look(buffer: SharedArrayBuffer): Map<string, unknown> {
  return contents(openAt(viewsOf(buffer), 2, LATER));
}

/** Compares what is left with the content before, and with the result of the whole operation. */
function checkSurvivors(
  buffer: SharedArrayBuffer,
  key: string,
  before: Map<string, unknown>,
  after: Map<string, unknown>,
): void {
  checkDictionary(buffer);
  const now = look(buffer);
  for (const [name, value] of now) {
    if (name === key)
      assert.ok(value === before.get(name) || value === after.get(name), 'the old or the new');
    else assert.equal(value, before.get(name));
  }
  for (const [name] of before)
    if (name !== key && after.has(name)) assert.ok(now.has(name), `${name} is there`);
  const others = [...now.keys()].filter((name) => name !== key);
  assert.deepEqual(
    others,
    [...before.keys()].filter((name) => name !== key && now.has(name)),
    'in the order of use',
  );
  const dictionary = openAt(viewsOf(buffer), 2, LATER);
  dictionary.set('afterwards', 'x'.repeat(1500));
  assert.equal(dictionary.get('afterwards'), 'x'.repeat(1500));
  checkDictionary(buffer);
}

function outcomes(
  run: (dictionary: SharedDictionary) => unknown,
): [Map<string, unknown>, Map<string, unknown>] {
  const whole = fullDictionary();
  run(openAt(viewsOf(whole), 1, LATER));
  return [look(fullDictionary()), look(whole)];
}

class Died extends Error {}

describe('An exception at any write', () => {
  for (const [name, { key, run }] of Object.entries(DEADLY_OPERATIONS)) {
    test(`inside ${name} leaves a whole dictionary`, () => {
      const [before, after] = outcomes(run);
      let write = 1;
      for (; write < WRITES_MAX; write++) {
        const buffer = fullDictionary();
        const views = mortalViews(buffer, write, () => {
          throw new Died();
        });
        const dictionary = openAt(views, 1, LATER);
        try {
          run(dictionary);
          break;
        } catch (error) {
          assert.ok(error instanceof Died);
        }
        checkSurvivors(buffer, key, before, after);
      }
      assert.ok(write > 3 && write < WRITES_MAX, `${write} writes`);
    });
  }
});

describe('A death at any write', () => {
  for (const [name, { key, run }] of Object.entries(DEADLY_OPERATIONS)) {
    test(`inside ${name} costs no more than the entry at hand`, () => {
      const [before, after] = outcomes(run);
      for (let write = 1; ; write++) {
        assert.ok(write < WRITES_MAX, 'the operation ends');
        const left = memoryAt(run, write);
        if (left === undefined) break;
        const reports = releaseOwner(memoryOf(left), DEAD_OWNER);
        assert.ok(reports.every((report) => report.name === 'test' && report.outcome === 'repaired'));
        checkSurvivors(left, key, before, after);
      }
    });
  }
});

describe('A thread that is terminated', () => {
  for (const [name, { key, run }] of Object.entries(DEADLY_OPERATIONS)) {
    test(`inside ${name} leaves no lock behind`, async () => {
      const [before, after] = outcomes(run);
      let writes = 1;
      while (memoryAt(run, writes) !== undefined) writes += 1;
      const buffer = fullDictionary();
      const data: DyingThreadData = {
        buffer,
        owner: DEAD_OWNER,
        operation: name,
        write: Math.ceil(writes / 2),
      };
      const worker = new Worker(new URL('./dying-thread.js', import.meta.url), { workerData: data });
      const [message] = await once(worker, 'message');
      assert.equal(message, 'inside');
      await worker.terminate();
      const { words } = viewsOf(buffer);
      assert.equal(words[HEADER.lock], DEAD_OWNER, "the lock is the dead thread's");
      assert.equal(
        releaseOwner(memoryOf(buffer), DEAD_OWNER + 1).length,
        0,
        'another owner has nothing to do with it',
      );
      assert.equal(words[HEADER.lock], DEAD_OWNER);
      releaseOwner(memoryOf(buffer), DEAD_OWNER);
      checkSurvivors(buffer, key, before, after);
    });
  }
});

test('A dictionary that nothing could have left like this is emptied', () => {
  const buffer = fullDictionary();
  const { words } = viewsOf(buffer);
  const oldest = words[HEADER.oldest] as number;
  const { chainsAt } = layoutOf(buffer.byteLength);
  words[chainsAt + oldest] = oldest;
  words[HEADER.dirty] = 1;
  words[HEADER.lock] = DEAD_OWNER;
  assert.deepEqual(releaseOwner(memoryOf(buffer), DEAD_OWNER), [{ name: 'test', outcome: 'emptied' }]);
  assert.deepEqual(checkDictionary(buffer), []);
  openAt(viewsOf(buffer), 2, LATER).set('key', 1);
  checkDictionary(buffer);
});

/** Returns the memory left by a thread that ends before its n-th write; undefined when it writes less often. */
function memoryAt(
  run: (dictionary: SharedDictionary) => unknown,
  write: number,
): SharedArrayBuffer | undefined {
  const buffer = fullDictionary();
  let left: SharedArrayBuffer | undefined;
  const views = mortalViews(buffer, write, () => {
    left = buffer.slice(0);
  });
  run(openAt(views, DEAD_OWNER, LATER));
  return left;
}

/** Makes the shared memory as the supervisor does. */
function memoryOf(buffer: SharedArrayBuffer): SharedMemory {
  return { ...NOTHING_SHARED, declared: [{ name: 'test', buffer }] };
}
