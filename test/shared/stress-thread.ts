/** A thread of the stress test: random operations on a dictionary that is too small for them, and a counter of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { SharedDictionary } from '../../src/shared/shared-dictionary.ts';
import type { SharedAccess } from '../../src/shared/shared-memory.ts';
import { SharedStore } from '../../src/shared/shared-store.ts';

export interface StressThreadData {
  readonly access: SharedAccess;
  /** Increments that this thread has begun, and that it has ended. */
  readonly progress: SharedArrayBuffer;
  /** Not 0: all threads have to end. */
  readonly ending: SharedArrayBuffer;
}

const { access, progress, ending }: StressThreadData = workerData;
const store = new SharedStore(access);
const entries = new SharedDictionary(store.open('entries'));
const counters = new SharedDictionary(store.open('counters'));
const counts = new Int32Array(progress);
const end = new Int32Array(ending);

parentPort?.postMessage('ready');
let last = 0;
while (Atomics.load(end, 0) === 0) {
  Atomics.add(counts, 0, 1);
  const count = Number(counters.incr('counter', 1, { init: 0 }));
  Atomics.add(counts, 1, 1);
  if (count <= last) throw new Error(`${count} after ${last}`);
  last = count;
  for (let i = 0; i < 10; i++) {
    const key = `key ${Math.floor(Math.random() * 300)}`;
    const letter = String.fromCharCode(97 + Math.floor(Math.random() * 26));
    switch (Math.floor(Math.random() * 8)) {
      case 0:
      case 1:
        entries.set(key, letter.repeat(Math.floor(Math.random() * 400)), Math.random() < 0.3 ? 0.01 : 0);
        break;
      case 2:
        entries.set(key, Math.random());
        break;
      case 3:
        entries.delete(key);
        break;
      case 4:
        entries.expire(key, 0.01);
        break;
      case 5:
        entries.keys(20);
        break;
      default: {
        const value = entries.get(key);
        if (typeof value === 'string' && value !== (value[0] ?? '').repeat(value.length))
          throw new Error('a value is mixed from two');
      }
    }
  }
}
parentPort?.postMessage('ended');
