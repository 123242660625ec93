/** Random sequences of frames for our sessions and node:http2's: a client has to observe the same on both. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { calmly } from '../../support/calm.ts';
import { describeSteps, frameSequence, renderSteps, type Step } from '../../support/frame-sequence.ts';
import { FUZZ_HANDLERS } from '../../support/fuzz-handlers.ts';
import { FuzzNode } from '../../support/fuzz-node.ts';
import { describeOutcome, type Outcome, observe, sendOctets } from '../../support/fuzz-outcome.ts';
import { compareOutcomes } from '../../support/fuzz-rules.ts';
import { block, dataFrame, frame, headersFrame, requestFields, uint32 } from '../../support/h2-bytes.ts';
import { inForm } from '../../support/test-form.ts';
import {
  type HandlerFunction,
  startFrontEnd,
  type TestFrontEnd,
  waitFor,
} from '../../support/test-front-end.ts';
import { FLAG, FRAME } from '../../support/wire-client.ts';

/** Number of sequences; `npm run fuzz` sets more. Each costs 2 ms of processor time. The long form finds the rarer faults. */
const SEQUENCES = Number(process.env['LGATEWAY_FUZZ_SEQUENCES'] ?? inForm(700, 20_000));
/** Concurrent sequences, each on its own connection. */
const AT_ONCE = 40;
const MUTATED = Math.ceil(SEQUENCES / 10);
const FAILURES_MAX = 10;
/** The same sequences in each run; `npm run fuzz` sets another seed. */
const SEED = Number(process.env['LGATEWAY_FUZZ_SEED'] ?? 1);

let own: TestFrontEnd;
/** A front end with very short waits, for clients that end their side, which are answered first. */
let ending: TestFrontEnd;
const node = new FuzzNode();
/** For each rule: the number of differences that it has explained. */
const explained = new Map<string, number>();

before(async () => {
  own = await startFrontEnd(FUZZ_HANDLERS, { cleartext: true });
  const soon = (name: string): HandlerFunction => {
    return (x, route) => {
      FUZZ_HANDLERS[name]?.(x, route);
      setTimeout(() => x.end(), 1);
    };
  };
  const handlers = { ...FUZZ_HANDLERS, '/wait': soon('/wait'), '/part': soon('/part') };
  ending = await startFrontEnd(handlers, { cleartext: true, limits: { idleTimeoutMs: 1_000 } });
});
after(async () => {
  await node.stop();
  await own.stop();
  await ending.stop();
});

/** Resolves with what is wrong with a sequence; undefined: nothing. */
async function judge(steps: readonly Step[]): Promise<string | undefined> {
  const sent = renderSteps(steps);
  const [ours, nodes] = await Promise.all([observe(own.port, sent), node.observe(sent)]);
  const fault = faultOf(ours);
  if (fault !== undefined) return `${describeSteps(sent)}\n  ${fault}: ${describeOutcome(ours)}`;
  if (nodes === undefined) {
    count('node:http2 aborts its process (an assertion of nghttp2)');
    return undefined;
  }
  const { rules, unexplained } = compareOutcomes(ours, nodes, sent);
  for (const rule of rules) count(rule);
  if (unexplained.length === 0) return undefined;
  // repeats the sequence alone, with time for everything in progress
  const [calm, calmNode] = await Promise.all([observe(own.port, sent, true), node.observe(sent, true)]);
  if (calmNode === undefined || compareOutcomes(calm, calmNode, sent).unexplained.length === 0)
    return undefined;
  return `${describeSteps(sent)}\n  own:  ${describeOutcome(calm)}\n  node: ${describeOutcome(calmNode)}`;
}

/** Names a behaviour that our sessions must never show, whatever the input. */
function faultOf(ours: Outcome): string | undefined {
  if (ours.stuck) return 'neither an answer nor an end';
  if (ours.violations.length > 0) return ours.violations.join(', ');
  if (ours.closed && ours.goaway === undefined) return 'the connection ended without GOAWAY';
  return undefined;
}

/** Leaves out all steps that the fault does not need. */
async function shrink(steps: readonly Step[], wrong: string): Promise<string> {
  for (let i = 0; i < steps.length; i++) {
    const fewer = steps.toSpliced(i, 1);
    const still = await judge(fewer);
    if (still !== undefined) return await shrink(fewer, still);
  }
  return wrong;
}

function count(rule: string): void {
  explained.set(rule, (explained.get(rule) ?? 0) + 1);
}

test(`${SEQUENCES} sequences of frames end over our sessions as they do over node:http2's`, async (t) => {
  t.diagnostic(`LGATEWAY_FUZZ_SEED=${SEED}`);
  const wrong: string[] = [];
  for (let done = 0; done < SEQUENCES && wrong.length < FAILURES_MAX; done += AT_ONCE) {
    const sequences = fc.sample(frameSequence, { numRuns: AT_ONCE, seed: SEED + done });
    const verdicts = await Promise.all(sequences.map(judge));
    for (const [i, verdict] of verdicts.entries())
      if (verdict !== undefined) wrong.push(await shrink(sequences[i] as readonly Step[], verdict));
  }
  for (const [rule, times] of explained) t.diagnostic(`${times} × ${rule}`);
  deepStrictEqual(wrong, [], `LGATEWAY_FUZZ_SEED=${SEED}\n${wrong.join('\n')}`);
  deepStrictEqual(
    own.logLines.filter((line) => / error /i.test(line)),
    [],
  );
});

/** Sequences that runs with other seeds have found. */
const FOUND: readonly (readonly Step[])[] = [
  // a body that is too short, its stream reset, and a frame behind that
  [
    {
      kind: 'malformed',
      what: 'length',
      render: (id) =>
        headersFrame(id, block(requestFields('/hello', [['content-length', '7']])), FLAG.endHeaders),
    },
    { kind: 'data', stream: -1, what: '1 last', render: (id) => dataFrame(id, 'x', FLAG.endStream) },
    {
      kind: 'reset',
      stream: -1,
      what: '65535 of 4',
      render: (id) => frame(FRAME.rstStream, 0, id, uint32(65_535)),
    },
    { kind: 'data', stream: -1, what: '0 last', render: (id) => dataFrame(id, '', FLAG.endStream) },
  ],
];

test('Sequences that were found by other seeds end as they may', async () => {
  const verdicts = await Promise.all(FOUND.map(judge));
  deepStrictEqual(
    verdicts.filter((verdict) => verdict !== undefined),
    [],
  );
});

test(`${MUTATED} sequences with octets changed, left out or added end, and leave nothing behind`, async () => {
  const change = fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('change', 'remove', 'add'));
  const changes = fc.tuple(frameSequence, fc.array(change, { minLength: 1, maxLength: 6 }), fc.boolean());
  for (let done = 0; done < MUTATED; done += AT_ONCE) {
    const samples = fc.sample(changes, { numRuns: AT_ONCE, seed: SEED + done });
    const fates = await Promise.all(
      samples.map(([steps, list, cut]) => {
        const octets = [...Buffer.concat(renderSteps(steps).map(({ bytes }) => bytes))];
        for (const [at, value, way] of list) {
          const place = at % (octets.length + 1);
          if (way === 'change') octets[place] = value;
          else octets.splice(place, way === 'remove' ? 1 : 0, ...(way === 'add' ? [value] : []));
        }
        return sendOctets(ending.port, Buffer.from(octets), cut);
      }),
    );
    deepStrictEqual(
      fates.filter((fate) => fate !== 'ended'),
      [],
      `LGATEWAY_FUZZ_SEED=${SEED}`,
    );
  }
  const hello = {
    kind: 'request',
    what: 'whole',
    stream: 1,
    bytes: headersFrame(1, requestFields('/hello')),
  } as const;
  await calmly(async () =>
    strictEqual((await observe(ending.port, [hello])).streams.get(1), '200 hello end'),
  );
  await waitFor(() => ending.counters.get('exchanges') === 0, 'no exchange to be left');
});
