/** Calls random functions of a state with random arguments: no crash, no JavaScript text, no lost state, nothing left open. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiFuzzChild } from '../support/api-fuzz-child.ts';
import { inForm } from '../support/test-form.ts';

/** Number of sequences, each of some eight calls; `npm run fuzz:api` sets more. */
const SEQUENCES = Number(process.env['LGATEWAY_FUZZ_SEQUENCES'] ?? inForm(250, 10_000));
/** The same sequences in each run; `npm run fuzz:api` sets another seed. */
const SEED = Number(process.env['LGATEWAY_FUZZ_SEED'] ?? 1);
/** Number of sequences that share a state. */
const BATCH = 25;
/** Number of processes, and of concurrent batches in each: most sequences wait until they are ended. */
const PROCESSES = 2;
const LANES = 8;
const FINDINGS_MAX = 20;
/** Larger than any number of sequences, so that two seeds have no sequence in common. */
const SEED_STRIDE = 1_000_000_000;

test(`${SEQUENCES} sequences of calls of the Lua API end as they may`, async (t) => {
  t.diagnostic(`LGATEWAY_FUZZ_SEED=${SEED}`);
  const findings: string[] = [];
  let lost = 0;
  let next = 0;
  const work = async (child: ApiFuzzChild): Promise<void> => {
    while (next < SEQUENCES && findings.length < FINDINGS_MAX) {
      const offset = next;
      next += BATCH;
      // after a lost state the rest of the batch gets a new one
      for (let done = 0; done < BATCH; ) {
        const first = SEED * SEED_STRIDE + offset + done;
        const result = await child.run(first, BATCH - done);
        done += Math.max(1, result.done);
        lost += result.lost;
        findings.push(...result.findings.map((finding) => `from ${first}: ${finding}`));
      }
    }
  };
  const children = Array.from({ length: PROCESSES }, () => new ApiFuzzChild());
  try {
    await Promise.all(children.flatMap((child) => Array.from({ length: LANES }, () => work(child))));
  } finally {
    for (const child of children) child.stop();
  }
  t.diagnostic(`${lost} states were given up`);
  assert.deepEqual(findings, [], `LGATEWAY_FUZZ_SEED=${SEED}`);
});
