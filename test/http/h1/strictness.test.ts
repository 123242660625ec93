/** Checks the HTTP/1 requests of the tables in test/support/strict-*.ts, cut in many ways. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { probe } from '../../support/http1-probe.ts';
import { type Http1Witness, startHttp1Witness } from '../../support/http1-witness.ts';
import { STRICT_BODIES } from '../../support/strict-bodies.ts';
import { HIDDEN, HIDDEN_SEEN, STRICT_LIMITS, type StrictCase } from '../../support/strict-case.ts';
import { STRICT_HEADS } from '../../support/strict-heads.ts';
import { STRICT_SERIES } from '../../support/strict-series.ts';
import { inForm } from '../../support/test-form.ts';

const CASES: readonly StrictCase[] = [...STRICT_HEADS, ...STRICT_BODIES, ...STRICT_SERIES];
const CASES_MIN = 250;

/** Concurrent connections. */
const AT_ONCE = 32;
/** Cuts at one in this many of the places that are not at a line end, colon or blank. */
const CUT_EVERY = inForm(12, 1);
/** Most places where one case is cut; the places of a longer case are spread over it. */
const CUTS_MAX = inForm(14, 400);
/** Number of bytes at the end of a case that are sent one by one; the bytes before are sent as one piece. */
const SINGLE_BYTES_MAX = inForm(150, 30_000);
/** One case in this many is also sent over TLS. */
const SECURE_EVERY = inForm(16, 1);

/** Number of faults shown at most. */
const FAULTS_SHOWN_MAX = 20;

let plain: Http1Witness;
let secure: Http1Witness;

before(async () => {
  plain = await startHttp1Witness(false, STRICT_LIMITS);
  secure = await startHttp1Witness(true, STRICT_LIMITS);
});
after(async () => {
  await plain.front.stop();
  await secure.front.stop();
});

/** Bytes that follow a case. */
const tailOf = ({ fate }: StrictCase): string => (fate === 'cut' ? '' : HIDDEN);

/** The answers to a case that is sent this many times. */
function expectedOf({ answers, fate }: StrictCase, times: number): string[] {
  const all = Array.from({ length: times }, () => answers).flat();
  return fate === 'kept' ? [...all, HIDDEN_SEEN] : all;
}

async function check(strict: StrictCase, pieces: readonly string[], times = 1, on = plain): Promise<void> {
  const { answers, begun } = await probe(on, pieces, strict.fate === 'cut');
  const how = `${strict.what}, as ${JSON.stringify(pieces.map((piece) => piece.slice(0, 200)))}`;
  deepStrictEqual(answers, expectedOf(strict, times), how);
  strictEqual(begun.includes('/hidden'), strict.fate === 'kept', `${how}: what a handler saw`);
}

/** Runs all functions, a limited number at a time. */
async function runAll(runs: readonly (() => Promise<void>)[]): Promise<void> {
  const waiting = runs.values();
  const faults: string[] = [];
  const worker = async (): Promise<void> => {
    for (const run of waiting) await run().catch((fault: unknown) => faults.push(String(fault)));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  strictEqual(
    faults.length,
    0,
    `${faults.length} are wrong:\n${faults.slice(0, FAULTS_SHOWN_MAX).join('\n')}`,
  );
}

function singleBytes(strict: StrictCase): string[] {
  const { bytes } = strict;
  const at = Math.max(0, bytes.length - SINGLE_BYTES_MAX);
  const pieces = [bytes.slice(0, at), ...bytes.slice(at), tailOf(strict)];
  return pieces.filter((piece) => piece !== '');
}

/**
 * Returns the places where a case is cut in two. The short form leaves out cuts in what the case has in common with the case
 * before.
 */
function cutsOf(bytes: string, before: string): number[] {
  const [from, to] = inForm(differenceOf(bytes, before), [1, bytes.length] as const);
  const cuts: number[] = [];
  for (let i = from; i <= to; i++)
    if (i % CUT_EVERY === 0 || isTelling(bytes[i - 1]) || isTelling(bytes[i])) cuts.push(i);
  const step = Math.max(1, cuts.length / CUTS_MAX);
  const chosen: number[] = [];
  for (let at = 0; at < cuts.length; at += step) chosen.push(cuts[Math.floor(at)] as number);
  return chosen;
}

/** Returns the first and the last place of the cuts, so that the part that differs, and a byte around it, is cut everywhere. */
function differenceOf(bytes: string, before: string): readonly [number, number] {
  let first = 0;
  while (first < bytes.length && bytes[first] === before[first]) first += 1;
  let same = 0;
  while (same < bytes.length - first && bytes.at(-1 - same) === before.at(-1 - same)) same += 1;
  return [Math.max(1, first - 1), Math.min(bytes.length, bytes.length - same + 2)];
}

/** True at bytes where a parser changes its state. */
const isTelling = (byte: string | undefined): boolean => byte !== undefined && '\r\n: ;'.includes(byte);

test(`The tables have ${CASES_MIN} cases and more, each with a name of its own`, () => {
  ok(CASES.length >= CASES_MIN, `${CASES.length} cases`);
  const names = CASES.map(({ what }) => what);
  deepStrictEqual(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
});

test('A request is served or refused as RFC 9112 says, and nothing behind a refused one is seen', async () => {
  await runAll(CASES.map((strict) => () => check(strict, [strict.bytes + tailOf(strict)])));
});

test('A request that comes byte by byte in records of TLS is the same request', async () => {
  const some = CASES.filter((_, i) => i % SECURE_EVERY === 0);
  await runAll(some.map((strict) => () => check(strict, singleBytes(strict), 1, secure)));
});

test('A request that comes in two pieces is the same request, wherever it is cut', async () => {
  const runs: (() => Promise<void>)[] = [];
  for (const [i, strict] of CASES.entries()) {
    const { bytes, fate } = strict;
    const tail = tailOf(strict);
    const cuts = cutsOf(bytes, CASES[i - 1]?.bytes ?? '').filter((cut) => cut < bytes.length + tail.length);
    const halves = cuts.map((cut) => [bytes.slice(0, cut), bytes.slice(cut)] as const);
    // one after another on one connection, where the case keeps it open
    if (fate === 'kept') runs.push(() => check(strict, [...halves.flat(), tail], halves.length));
    else for (const [first, second] of halves) runs.push(() => check(strict, [first, second + tail]));
  }
  await runAll(runs);
});

test('A request that comes byte by byte is the same request', async () => {
  await runAll(CASES.map((strict) => () => check(strict, singleBytes(strict))));
});
