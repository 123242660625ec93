/** Reads V8's CPU profiles: how much time each function took in its own code, without the functions that it called. */
import { existsSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';

/** The format that V8 writes (`Profiler.Profile` of the inspector protocol); times are µs of the monotonic clock. */
export interface CpuProfile {
  readonly startTime: number;
  readonly nodes: readonly ProfileNode[];
  /** Ids of the nodes that V8 found running. */
  readonly samples: readonly number[];
  /** µs between each sample and the one before it. */
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: CallFrame;
}

/** A place in a script; lines and columns count from 0. */
interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

export interface FunctionTime {
  /** Percent of the time in which the thread was not idle. */
  readonly percent: number;
  readonly name: string;
  /** `file:line` of the source where it is known; empty for native code. */
  readonly place: string;
}

export interface ProfileSummary {
  /** Percent of the measured time in which the thread was not idle. */
  readonly busyPercent: number;
  /** The functions with the most time first. */
  readonly functions: readonly FunctionTime[];
}

const IDLE = '(idle)';

/** Counts only the samples between `fromUs` and `tillUs`. */
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

/** Names the place in the original source where the compiled file has a source map beside it. */
function placeOf({ url, lineNumber, columnNumber }: CallFrame): string {
  if (url.startsWith('node:')) return `${url}:${lineNumber + 1}`;
  // a frame of WebAssembly has a URL but no line, a frame of native code has no URL
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
