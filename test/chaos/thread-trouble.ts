/**
 * Loaded into each thread of the program by NODE_OPTIONS (`--import`), from outside: a worker that finds the file `crash` or `hang` in
 * the folder LGATEWAY_CHAOS takes it away and does what it says. The program itself knows nothing of it.
 */
import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';

const LOOK_EVERY_MS = 100;
const folder = process.env['LGATEWAY_CHAOS'];

if (!isMainThread && folder !== undefined) {
  setInterval(() => {
    if (takes('crash'))
      setImmediate(() => {
        throw new Error('chaos: this thread crashes');
      });
    if (takes('hang')) for (;;);
  }, LOOK_EVERY_MS).unref();
}

/** One thread takes the file, since it is there once. */
function takes(name: string): boolean {
  try {
    unlinkSync(join(folder ?? '', name));
    return true;
  } catch {
    return false;
  }
}
