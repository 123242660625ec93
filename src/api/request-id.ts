/** Names exchanges, so that a response, a log line and a script's own notes can be joined. */

const start = Date.now().toString(36);
let count = 0;

/** Unique among the workers of one machine and its restarts: start time, worker, number. */
export function nextRequestId(workerId: number): string {
  count += 1;
  return `${start}-${workerId}-${count.toString(36)}`;
}
