/** Runs some sequences of random API calls in one new state, one request for each sequence; reports every wrong result. */

import { equal } from 'node:assert/strict';
import type { ClientHttp2Session } from 'node:http2';
import type { CounterName } from '../../src/metrics/worker-metrics.ts';
import { SharedDictionary } from '../../src/shared/shared-dictionary.ts';
import { apiFuzzScript, FOREIGN_WORDS, REPORT } from './api-fuzz-script.ts';
import { connectH2, fetchH2 } from './h2-client.ts';
import { testLuaModule } from './lua-modules.ts';
import { eventually, ScriptHarness } from './script-harness.ts';

/**
 * Little more than a new state holds. One collection of a larger heap could take longer than a state may run past its limit.
 */
const STATE_BYTES_MAX = 20 * 1024 * 1024;
/** Limit of one sequence. A sequence that computes or waits for longer adds no further information. */
const CPU_LIMIT_MS = 50;
const TIME_LIMIT_MS = 250;
/** Findings that a batch reports at most. */
const FINDINGS_MAX = 10;
const PLACE_CHARS_MAX = 600;

const FOREIGN = new RegExp(FOREIGN_WORDS.map((word) => word.replaceAll(/[.[\]()]/g, '\\$&')).join('|'));
/** The text that the harness writes for a field that a log line does not have. */
const ABSENT_FIELD = / \w+=undefined\b/g;
/**
 * Reasons for which a state may be lost. The manual names them: patterns that backtrack, message handlers, and C functions that
 * call other C functions without Lua code between them, where no hook can run.
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
  /** Number of sequences that ran. */
  readonly done: number;
  readonly findings: readonly string[];
  /** Number of states given up for a reason of `MAY_COST_STATE`. */
  readonly lost: number;
}

/**
 * The error code of a late SETTINGS acknowledgement. Client and server share a thread that other sequences keep busy, so the
 * client may be late on a slow machine.
 */
const SETTINGS_TIMEOUT = 4;

/**
 * Consecutive sequences that either all may start programs or all may not: to start a program costs ten times as much as most
 * sequences.
 */
const PROGRAMS_ROW = 50;
const PROGRAMS_EVERY = 4;

/** Depends on the number of the sequence only, so that a seed repeats the same calls. */
function startsPrograms(sequence: number): boolean {
  return Math.floor(sequence / PROGRAMS_ROW) % PROGRAMS_EVERY === 0;
}

/** Runs sequences `first` to `first + count - 1`, or until the state is lost. */
export async function runBatch(first: number, count: number): Promise<BatchResult> {
  const harness = await ScriptHarness.load(apiFuzzScript(), {
    module: await testLuaModule(STATE_BYTES_MAX),
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
      // the client makes no mistake, so the server may end a connection for idleness only
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
  // files that the script no longer refers to, and the metatable, end with their state
  await untilZero(harness, ['files', 'pipes', 'states'], findings);
  return { done, findings, lost };
}

/** Names the code that did not end: the traceback of the last error. */
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
