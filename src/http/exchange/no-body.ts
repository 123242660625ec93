/** The body of a request that has none. */
import { ByteQueue } from '../../base/byte-queue.ts';
import type { RequestBody } from './exchange.ts';

/** One for all: nothing is ever put into its queue. */
export const NO_BODY: RequestBody = {
  queue: new ByteQueue(),
  ended: true,
  error: undefined,
  declaredLength: undefined,
  request: (_size, ready) => process.nextTick(ready),
  cancelRequest: ignore,
  consumed: ignore,
};

function ignore(): void {}
