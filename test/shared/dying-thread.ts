/** A thread that stops inside an operation, at a chosen write, until it is terminated. */
import { parentPort, workerData } from 'node:worker_threads';
import { DEADLY_OPERATIONS, LATER, openAt } from './deadly-operations.ts';
import { mortalViews } from './mortal-views.ts';

export interface DyingThreadData {
  readonly buffer: SharedArrayBuffer;
  readonly owner: number;
  readonly operation: string;
  /** The number of the write that it does not do. */
  readonly write: number;
}

const { buffer, owner, operation, write }: DyingThreadData = workerData;
const views = mortalViews(buffer, write, () => {
  parentPort?.postMessage('inside');
  for (;;);
});
DEADLY_OPERATIONS[operation]?.run(openAt(views, owner, LATER));
parentPort?.postMessage('done');
