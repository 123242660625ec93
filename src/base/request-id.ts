/** Names exchanges, so that a response, a log line and a script's own notes can be joined. */

const start = Date.now().toString(36);
let count = 0;

/** The number of one more exchange of this worker. */
export function nextRequestNumber(): number {
  count += 1;
  return count;
}

/** The number whose lower 32 bits are given, the latest there can be. */
export function fullRequestNumber(low: number): number {
  return count - ((count - low) >>> 0);
}

/** Unique among the workers of one machine and its restarts: start time, worker, number. */
export function requestIdOf(workerId: number, requestNumber: number): string {
  return requestIdStart(workerId) + requestNumber.toString(REQUEST_NUMBER_RADIX);
}

/** What all ids of a worker begin with; the number follows. */
export function requestIdStart(workerId: number): string {
  return `${start}-${workerId}-`;
}

export const REQUEST_NUMBER_RADIX = 36;
