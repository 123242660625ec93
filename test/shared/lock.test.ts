/** The lock of a dictionary: a waiting thread is woken, does not wait for ever, and gets the lock after the owner's death. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { breakLock, SharedLock } from '../../src/shared/lock.ts';
import { createSharedMemory } from '../../src/shared/shared-memory.ts';
import { SharedStore } from '../../src/shared/shared-store.ts';

const FREE = 0;
const WAIT_MS = 30;

function lockWords(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

test('SharedLock.acquire() gives up after its time, with the code that scripts see', () => {
  const words = lockWords();
  new SharedLock(words, 0, 1).acquire();
  const start = performance.now();
  assert.throws(() => new SharedLock(words, 0, 2, WAIT_MS).acquire(), {
    name: 'GatewayError',
    luaCode: 'timeout',
    message: `Cannot use the dictionary: another thread has held it for ${WAIT_MS} ms`,
  });
  assert.ok(performance.now() - start > WAIT_MS - 1);
});

test('SharedLock.acquire() takes the lock again that an exception has kept this thread from giving back', () => {
  const words = lockWords();
  const lock = new SharedLock(words, 0, 1);
  lock.acquire();
  lock.acquire();
  lock.release();
  assert.equal(words[0], FREE);
});

test('breakLock() repairs before others get in, and only for the owner', () => {
  const words = lockWords();
  new SharedLock(words, 0, 7).acquire();
  const fail = (): never => assert.fail('there is nothing to repair');
  assert.equal(breakLock(words, 0, 8, fail), false);
  assert.equal(
    breakLock(words, 0, 7, () => assert.notEqual(words[0], FREE)),
    true,
  );
  assert.equal(words[0], FREE);
  assert.equal(breakLock(words, 0, 7, fail), false);
  new SharedLock(words, 0, 8).acquire();
});

test('A thread that sleeps is woken by a release, and by a lock that is broken', async () => {
  const words = lockWords();
  const lock = new SharedLock(words, 0, 1);
  const url = new URL('../../src/shared/lock.js', import.meta.url).href;
  const source = `const { parentPort, workerData } = require('node:worker_threads');
    import(${JSON.stringify(url)}).then(({ SharedLock }) => {
      const lock = new SharedLock(workerData, 0, 2);
      parentPort.on('message', () => {
        lock.acquire();
        lock.release();
        parentPort.postMessage('had it');
      });
      parentPort.postMessage('ready');
    });`;
  const worker = new Worker(source, { eval: true, workerData: words });
  try {
    await once(worker, 'message');
    for (const free of [() => lock.release(), () => breakLock(words, 0, 1, () => undefined)]) {
      lock.acquire();
      const had = once(worker, 'message');
      worker.postMessage('go');
      // the bit that says that a thread sleeps
      while (Atomics.load(words, 0) === 1) await new Promise((resolve) => setImmediate(resolve));
      free();
      assert.deepEqual(await had, ['had it']);
    }
  } finally {
    await worker.terminate();
  }
});

test('createSharedMemory() refuses names and sizes that cannot be', () => {
  const refuse = (name: string, bytes: number, message: RegExp): void =>
    assert.throws(() => createSharedMemory([{ name, bytes }]), { name: 'GatewayError', message });
  refuse('', 1 << 20, /^"" is no name of a dictionary$/);
  refuse('a b', 1 << 20, /^"a b" is no name/);
  refuse('x'.repeat(64), 1 << 20, /is no name/);
  refuse('a', 64 * 1024 - 1, /^Size 65535 of dictionary "a" is not from 65536 to 268435456 bytes$/);
  refuse('a', 256 * 1024 * 1024 + 1, /is not from/);
  refuse('a', 65536.5, /is not from/);
  const twice = { name: 'a', bytes: 64 * 1024 };
  assert.throws(() => createSharedMemory([twice, twice]), { message: 'Dictionary "a" is declared twice' });
  assert.throws(() => new SharedStore({ memory: createSharedMemory([]), owner: 1 }).open('a b'), RangeError);
});
