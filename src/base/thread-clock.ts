/**
 * The processor time of the thread that asks: what limits on computing are measured by, because the wall clock runs on
 * while other programs have the processor. A question costs about 2 µs, so the wall clock says when to ask.
 *
 * Node tells it from 22.19 and 23.9 on; before, Linux does in a file. CLOCK_THREAD_CPUTIME_ID by a native call is hardly
 * faster and takes each thread 15 ms and more to load. Both are exact to a tick of the kernel (1 to 10 ms), and fair on
 * average.
 */
import { openSync, readSync } from 'node:fs';

/** "nanoseconds run, nanoseconds waited, slices"; it is resolved, and so bound to the thread, when it is opened. */
const SCHEDULE_FILE = '/proc/thread-self/schedstat';
/** Three numbers of up to 20 digits. */
const SCHEDULE_BYTES = 64;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

type ThreadCpuUsage = () => { readonly user: number; readonly system: number };

let source: (() => number) | undefined;

/** Milliseconds of processor time this thread has used; of wall-clock time where the system does not tell. */
export function threadCpuMs(): number {
  source ??= findSource();
  return source();
}

function findSource(): () => number {
  // absent in Node 20
  const { threadCpuUsage } = process as { threadCpuUsage?: ThreadCpuUsage };
  if (threadCpuUsage !== undefined) {
    return () => {
      const { user, system } = threadCpuUsage();
      return (user + system) / 1000;
    };
  }
  return scheduleFile() ?? (() => performance.now());
}

/** The file is kept open for as long as the thread lives; Node closes it then. */
function scheduleFile(): (() => number) | undefined {
  const buffer = new Uint8Array(SCHEDULE_BYTES);
  let last = 0;
  try {
    const file = openSync(SCHEDULE_FILE, 'r');
    const read = (): number => {
      const size = readSync(file, buffer, 0, SCHEDULE_BYTES, 0);
      const ns = leadingNumber(buffer, size);
      if (ns === undefined) throw new Error(`${SCHEDULE_FILE} does not begin with a number`);
      last = ns / 1e6;
      return last;
    };
    read();
    return () => {
      try {
        return read();
      } catch {
        // goes on from where it stood, by the wall clock
        const offset = last - performance.now();
        source = () => offset + performance.now();
        return last;
      }
    };
  } catch {
    return undefined;
  }
}

function leadingNumber(bytes: Uint8Array, size: number): number | undefined {
  let value = 0;
  let at = 0;
  for (; at < size; at++) {
    const byte = bytes[at] as number;
    if (byte < DIGIT_0 || byte > DIGIT_9) break;
    value = value * 10 + byte - DIGIT_0;
  }
  return at === 0 ? undefined : value;
}
