/** Some sequences of random calls, one request each, in one fresh state; says what is wrong with how they ended. */

import { equal } from 'node:assert/strict';
import type { ClientHttp2Session } from 'node:http2';
import type { CounterName } from '../../src/metrics/worker-metrics.ts';
import { SharedDictionary } from '../../src/shared/shared-dictionary.ts';
import { apiFuzzScript, FOREIGN_WORDS, REPORT } from './api-fuzz-script.ts';
import { connectH2, fetchH2 } from './h2-client.ts';
import { compileCappedModule } from './lua-capped-module.ts';
import { eventually, ScriptHarness } from './script-harness.ts';

/** Little more than a state begins with: one collection of a large heap may outlast what is left behind a limit. */
const STATE_BYTES_MAX = 20 * 1024 * 1024;
/** A sequence that computes or waits for longer is ended: it has been seen then that it does. */
const CPU_LIMIT_MS = 50;
const TIME_LIMIT_MS = 250;
/** Told beside the first findings. */
const FINDINGS_MAX = 10;
const PLACE_CHARS_MAX = 600;

const FOREIGN = new RegExp(FOREIGN_WORDS.map((word) => word.replaceAll(/[.[\]()]/g, '\\$&')).join('|'));
/** How the harness writes a field that a log line does not have. */
const ABSENT_FIELD = / \w+=undefined\b/g;
/**
 * What cannot be interrupted may cost the state, as the manual says: patterns that backtrack, message handlers, and C
 * functions that call others, with no Lua between them at which a hook could run.
 */
const MAY_COST_STATE: readonly string[] = [
  'string.find',
  'string.match',
  'string.gsub',
  'string.gmatch',
  'table.sort',
  'table.concat',
  'xpcall',
];

export interface BatchResult {
  /** Sequences that ran. */
  readonly done: number;
  readonly findings: readonly string[];
  /** States given up for a reason that is listed. */
  readonly lost: number;
}

/** Client and server share a thread, which sequences of all lanes keep busy: on a slow machine the client is late, too. */
const SETTINGS_TIMEOUT = 4;

/** Sequences in a row that may start programs, or not: to start one costs ten times what most sequences do. */
const PROGRAMS_ROW = 50;
const PROGRAMS_EVERY = 4;

/** Told by the number of the sequence alone, so that a seed shows the same again. */
function startsPrograms(sequence: number): boolean {
  return Math.floor(sequence / PROGRAMS_ROW) % PROGRAMS_EVERY === 0;
}

let module: Promise<WebAssembly.Module> | undefined;

/** Runs sequences `first` to `first + count - 1`, or until the state is lost. */
export async function runBatch(first: number, count: number): Promise<BatchResult> {
  module ??= compileCappedModule(STATE_BYTES_MAX);
  const harness = await ScriptHarness.load(apiFuzzScript(), {
    module: await module,
    rooted: true,
    rights: { commands: startsPrograms(first) ? ['cat', 'true'] : [] },
    files: { file: 'a file\nof two lines\n', 'x.lua': 'return 1' },
    limits: { cpuLimitMs: CPU_LIMIT_MS, timeLimitMs: TIME_LIMIT_MS },
  });
  const findings: string[] = [];
  let lost = 0;
  let done = 0;
  try {
    const report = new SharedDictionary(harness.shared.open(REPORT.dictionary));
    const step = (): string => String(report.get(REPORT.step) ?? 'nothing');
    const port = await harness.listen();
    const connect = async (): Promise<ClientHttp2Session> => {
      const connected = await connectH2(port);
      // without a mistake of the client's, a connection ends only for its idleness
      connected.on('goaway', (code) => {
        if (code !== 0 && code !== SETTINGS_TIMEOUT)
          findings.push(`the connection ended with GOAWAY ${code}; last: ${step()}`);
      });
      connected.on('error', (error) => {
        if (!error.message.endsWith(`code ${SETTINGS_TIMEOUT}`))
          findings.push(`the connection failed: ${error}; last: ${step()}`);
      });
      return connected;
    };
    let session = await connect();
    for (; done < count && lost === 0; done++) {
      if (session.destroyed || session.closed) session = await connect();
      await fetchH2(session, { ':path': `/fuzz?${first + done}` });
      if (!harness.log.some((line) => line === 'error abandoned')) continue;
      lost += 1;
      const place = placeOf(harness.log);
      if (!MAY_COST_STATE.some((name) => place.includes(`'${name}'`)))
        findings.push(`the state is lost in ${place}; last: ${step()}`);
    }
    session.destroy();
    for (let i = 1; i <= Number(report.get(REPORT.count) ?? 0) && findings.length < FINDINGS_MAX; i++)
      findings.push(String(report.get(`${REPORT.found}${i}`)));
    const told = harness.log
      .filter((line) => FOREIGN.test(line.replaceAll(ABSENT_FIELD, '')))
      .slice(0, FINDINGS_MAX);
    findings.push(...told.map((line) => `the log says ${line.slice(0, 500)}; last: ${step()}`));
    await untilZero(harness, ['exchanges', 'coroutines', 'fetches'], findings);
  } finally {
    await harness.close();
  }
  // files of which a script has lost hold, and the metatable, end with their state
  await untilZero(harness, ['files', 'pipes', 'states'], findings);
  return { done, findings, lost };
}

/** Where the code was that did not end: the traceback of the last error. */
function placeOf(log: readonly string[]): string {
  const last = log.findLast((line) => line.startsWith('error Lua error: ')) ?? 'an unknown place';
  return last.slice(0, PLACE_CHARS_MAX);
}

async function untilZero(
  harness: ScriptHarness,
  gauges: readonly CounterName[],
  findings: string[],
): Promise<void> {
  try {
    await eventually(() => {
      for (const gauge of gauges) equal(harness.counters.get(gauge), 0, gauge);
    });
  } catch (error) {
    findings.push(`something is left: ${error instanceof Error ? error.message : String(error)}`);
  }
}
