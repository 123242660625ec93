/** Reads CPU time and memory of a process and its children from /proc (Linux). */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const NS_PER_MS = 1e6;
/** USER_HZ, the unit of CPU times in /proc/<pid>/stat (proc(5)); it is 100 on all current Linux systems. */
const TICKS_PER_SECOND = 100;
const MS_PER_TICK = 1000 / TICKS_PER_SECOND;
/** Writing this to clear_refs sets the peak of the resident set to its present size (proc(5)). */
const RESET_PEAK = '5';

/** Positions in /proc/<pid>/stat after the command name, which may contain blanks (proc(5)). */
const STAT = { parent: 1, userTicks: 11, systemTicks: 12 } as const;

/** Returns the process and all its descendants. */
export function processTree(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? readStat(Number(name)) : undefined;
    if (stat !== undefined) parents.set(Number(name), Number(stat[STAT.parent]));
  }
  const tree = [root];
  for (const pid of tree) for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  return tree;
}

/**
 * User and system time of all live threads, in ms. The value is exact to the nanosecond where the kernel has CONFIG_SCHED_INFO;
 * otherwise it counts in steps of 10 ms.
 */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((total, pid) => total + (scheduledMs(pid) ?? tickedMs(pid)), 0);
}

/** Returns undefined where the kernel has no schedstat, or when the process has ended. */
function scheduledMs(pid: number): number | undefined {
  let ns: number | undefined;
  for (const thread of listThreads(pid)) {
    const own = readProc(pid, `task/${thread}/schedstat`);
    if (own !== undefined) ns = (ns ?? 0) + Number.parseInt(own, 10);
  }
  return ns === undefined ? undefined : ns / NS_PER_MS;
}

function tickedMs(pid: number): number {
  const stat = readStat(pid);
  return stat === undefined
    ? 0
    : (Number(stat[STAT.userTicks]) + Number(stat[STAT.systemTicks])) * MS_PER_TICK;
}

function listThreads(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    // the process has ended
    return [];
  }
}

/** Resident memory at this moment. */
export function residentBytes(pids: readonly number[]): number {
  return sumStatus(pids, 'VmRSS');
}

/** Largest resident memory since `resetPeak()`. */
export function peakResidentBytes(pids: readonly number[]): number {
  return sumStatus(pids, 'VmHWM');
}

export function resetPeak(pids: readonly number[]): void {
  for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK);
}

/** Returns undefined when the process has ended. */
function readStat(pid: number): readonly string[] | undefined {
  const text = readProc(pid, 'stat');
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

function sumStatus(pids: readonly number[], field: 'VmRSS' | 'VmHWM'): number {
  let kib = 0;
  for (const pid of pids)
    kib += Number(readProc(pid, 'status')?.match(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm'))?.[1] ?? 0);
  return kib * 1024;
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    // the process ended between the listing and the reading
    return undefined;
  }
}
