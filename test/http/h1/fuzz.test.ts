/** Random changes of HTTP/1 requests: our front end and node:http's parser in strict mode have to treat them alike. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Dice, fuzzInput } from '../../support/http1-fuzz-input.ts';
import { type Comparison, compareHttp1, type Difference } from '../../support/http1-fuzz-rules.ts';
import { Http1Oracle, type OracleOutcome } from '../../support/http1-oracle.ts';
import { probe } from '../../support/http1-probe.ts';
import { describeRequest, type Http1Witness, startHttp1Witness } from '../../support/http1-witness.ts';
import { HIDDEN } from '../../support/strict-case.ts';
import { inForm } from '../../support/test-form.ts';

/** Number of inputs; `npm run fuzz:http1` sets more. Each costs a millisecond of processor time. */
const INPUTS = Number(process.env['LGATEWAY_FUZZ_SEQUENCES'] ?? inForm(2_000, 20_000));
/** The same inputs in each run; `npm run fuzz:http1` sets another seed. Input number i has this seed + i. */
const SEED = Number(process.env['LGATEWAY_FUZZ_SEED'] ?? 1);
/** Concurrent connections. */
const AT_ONCE = 32;
/** One of this many inputs is cut in two. */
const CUT_EVERY = 4;
const FAILURES_MAX = 10;
/** Numbers of bytes left out at a time, to find out which bytes matter. */
const LEFT_OUT = [256, 64, 16, 4, 1];
const HEAD_BYTES_MAX = 16 * 1024;

let own: Http1Witness;
let oracle: Http1Oracle;
/** For each rule: the number of differences that it has explained. */
const explained = new Map<string, number>();
/** Inputs that both servers have served, and refused. */
const alike = { served: 0, refused: 0 };
/** At least one input in this many has to be served to its end, and one refused; otherwise the inputs test too little. */
const USEFUL_SHARE = 10;

before(async () => {
  own = await startHttp1Witness(false, { headBytesMax: HEAD_BYTES_MAX });
  oracle = new Http1Oracle(2 * HEAD_BYTES_MAX);
});
after(() => own.front.stop());

async function differenceOf(input: string, cut: number): Promise<Comparison> {
  const bytes = input + HIDDEN;
  const pieces = cut === 0 ? [bytes] : [bytes.slice(0, cut), bytes.slice(cut)];
  const [ours, theirs] = await Promise.all([probe(own, pieces, true), oracle.parse(bytes)]);
  return compareHttp1(bytes, ours, theirs);
}

/** Resolves with what is wrong with an input; undefined: nothing. */
async function judge(seed: number): Promise<string | undefined> {
  const input = fuzzInput(seed);
  const dice = new Dice(~seed);
  const cut = dice.below(CUT_EVERY) === 0 ? 1 + dice.below(input.length) : 0;
  const { rule, unexplained, end } = await differenceOf(input, cut);
  if (end !== undefined) alike[end] += 1;
  if (rule !== undefined) explained.set(rule, (explained.get(rule) ?? 0) + 1);
  if (unexplained === undefined) return undefined;
  return `seed ${seed}, cut at ${cut}: ${await shrink(input)}\n${describe(unexplained)}`;
}

/** Leaves out all bytes that the fault does not need; resolves with the rest as escaped text. */
async function shrink(input: string): Promise<string> {
  let bytes = input;
  for (const size of LEFT_OUT)
    for (let at = 0; at < bytes.length; ) {
      const fewer = bytes.slice(0, at) + bytes.slice(at + size);
      if ((await differenceOf(fewer, 0)).unexplained === undefined) at += size;
      else bytes = fewer;
    }
  return escaped(bytes);
}

function describe({ own: ours, node }: Difference): string {
  return [ours, node]
    .map(({ request, refusal }, i) => {
      const what = request === undefined ? (refusal ?? 'the end') : escaped(describeRequest(request));
      return `  ${i === 0 ? 'own:  ' : 'node: '}${what}`;
    })
    .join('\n');
}

function escaped(text: string): string {
  return JSON.stringify(text).replace(
    /[\x7f-\xff]/g,
    (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

test(`${INPUTS} changed requests are read as node:http's strict parser reads them, or a rule says why not`, async (t) => {
  t.diagnostic(`LGATEWAY_FUZZ_SEED=${SEED}`);
  const wrong: string[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < INPUTS && wrong.length < FAILURES_MAX) {
      const verdict = await judge(SEED + next++);
      if (verdict !== undefined) wrong.push(verdict);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  for (const [rule, times] of [...explained].sort(([, a], [, b]) => b - a))
    t.diagnostic(`${times} × ${rule}`);
  t.diagnostic(`${alike.served} served to the end alike, ${alike.refused} refused alike`);
  deepStrictEqual(wrong, [], `LGATEWAY_FUZZ_SEED=${SEED}\n${wrong.join('\n')}`);
  deepStrictEqual(
    own.front.logLines.filter((line) => / error /i.test(line)),
    [],
  );
  ok(Math.min(alike.served, alike.refused) > INPUTS / USEFUL_SHARE, 'inputs of both kinds');
});

test('What one serves and the other refuses, or reads in another way, is a difference', async () => {
  const bytes = `GET /x HTTP/1.1\r\nHost: a\r\n\r\n${HIDDEN}`;
  const [ours, theirs] = await Promise.all([probe(own, [bytes], true), oracle.parse(bytes)]);
  const [first, ...others] = theirs.requests;
  if (first === undefined) throw new Error('node:http serves the request');
  const compare = (node: OracleOutcome): Comparison => compareHttp1(bytes, ours, node);
  strictEqual(compare(theirs).unexplained, undefined);
  strictEqual(compare(theirs).end, 'served');
  for (const different of [
    { requests: [], fault: 'HPE_INVALID_HEADER_TOKEN' },
    { requests: [], fault: undefined },
    { requests: [first], fault: undefined },
    { requests: [...theirs.requests, first], fault: undefined },
    { requests: theirs.requests, fault: 'HPE_INVALID_METHOD' },
    { requests: [{ ...first, body: 'x' }, ...others], fault: undefined },
    { requests: [{ ...first, target: '/y' }, ...others], fault: undefined },
    { requests: [{ ...first, fields: ['Host', 'a', 'X', ''] }, ...others], fault: undefined },
  ])
    ok(compare(different).unexplained !== undefined, JSON.stringify(different));
});
