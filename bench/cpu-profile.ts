/** Reads V8's CPU profiles: which functions the time was spent in, by their own code and not what they called. */
import { existsSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';

/** As V8 writes it (the inspector protocol's `Profiler.Profile`); times are µs of the monotonic clock. */
export interface CpuProfile {
  readonly startTime: number;
  readonly nodes: readonly ProfileNode[];
  /** Ids of nodes. */
  readonly samples: readonly number[];
  /** Before each sample. */
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: CallFrame;
}

/** Lines and columns count from 0. */
interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

export interface FunctionTime {
  /** Of the time in which the thread was not idle. */
  readonly percent: number;
  readonly name: string;
  /** `file:line` of the source where it is known; empty for native code. */
  readonly place: string;
}

export interface ProfileSummary {
  /** Of the time, in which the thread was not idle. */
  readonly busyPercent: number;
  /** Those with the most time first. */
  readonly functions: readonly FunctionTime[];
}

const IDLE = '(idle)';

/** Looks at what lies from `fromUs` to `tillUs`. */
export function summarizeProfile(
  profile: CpuProfile,
  functionsMax: number,
  fromUs: number = Number.NEGATIVE_INFINITY,
  tillUs: number = Number.POSITIVE_INFINITY,
): ProfileSummary {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = new Map<string, { frame: CallFrame; us: number }>();
  let [now, idleUs, busyUs] = [profile.startTime, 0, 0];
  profile.samples.forEach((id, i) => {
    const us = profile.timeDeltas[i] ?? 0;
    now += us;
    const frame = frames.get(id);
    if (frame === undefined || now < fromUs || now > tillUs) return;
    if (frame.functionName === IDLE) {
      idleUs += us;
      return;
    }
    busyUs += us;
    const key = `${frame.functionName} ${frame.url} ${frame.lineNumber} ${frame.columnNumber}`;
    const known = times.get(key);
    if (known === undefined) times.set(key, { frame, us });
    else known.us += us;
  });
  const most = [...times.values()].sort((a, b) => b.us - a.us).slice(0, functionsMax);
  return {
    busyPercent: (busyUs / (busyUs + idleUs)) * 100,
    functions: most.map(({ frame, us }) => ({
      percent: (us / busyUs) * 100,
      name: frame.functionName === '' ? '(anonymous)' : frame.functionName,
      place: placeOf(frame),
    })),
  };
}

/** In the source that a compiled file was made of, where its map lies beside it. */
function placeOf({ url, lineNumber, columnNumber }: CallFrame): string {
  if (url.startsWith('node:')) return `${url}:${lineNumber + 1}`;
  // WebAssembly has no lines, native code nothing at all
  if (!url.startsWith('file:')) return url;
  const map = `${fileURLToPath(url)}.map`;
  if (existsSync(map)) {
    const entry = new SourceMap(JSON.parse(readFileSync(map, 'utf8'))).findEntry(lineNumber, columnNumber);
    if ('originalSource' in entry)
      return placeInPackage(new URL(entry.originalSource, url).href, entry.originalLine);
  }
  return placeInPackage(url, lineNumber);
}

function placeInPackage(url: string, line: number): string {
  const path = fileURLToPath(url);
  const inModules = path.lastIndexOf('node_modules');
  return `${inModules < 0 ? relative(PACKAGE_ROOT, path) : path.slice(inModules)}:${line + 1}`;
}
