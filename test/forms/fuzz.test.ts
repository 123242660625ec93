/** Random multipart bodies in random pieces: the reader of forms and @fastify/busboy give the same, or a named rule says why not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeInput } from '../support/multipart-input.ts';
import { askBusboy, explain, withoutPadding } from '../support/multipart-oracle.ts';
import { readMultipart } from '../support/read-multipart.ts';
import { inForm } from '../support/test-form.ts';

const SEED = Number(process.env['LGATEWAY_FUZZ_SEED'] ?? 1);
const COUNT = inForm(700, 100_000);

/** Resolves with the rule that explains the difference, and what there is to see. */
async function judge(seed: number, isSpoilt: boolean): Promise<{ rule: string | undefined; text: string }> {
  const { boundary, body, cuts } = makeInput(seed, isSpoilt);
  const own = await readMultipart(body, boundary, { cuts: cuts[0] });
  const busboy = await askBusboy(
    withoutPadding(body, boundary),
    `multipart/form-data; boundary="${boundary}"`,
    cuts[1],
  );
  const rule = explain({ body, boundary, own, busboy });
  return { rule, text: JSON.stringify({ seed, boundary, body, own, busboy }).slice(0, 4000) };
}

test('Well-formed forms in random pieces are read as @fastify/busboy reads them', async () => {
  for (let seed = SEED; seed < SEED + COUNT; seed++) {
    const { rule, text } = await judge(seed, false);
    assert.equal(rule, undefined, `LGATEWAY_FUZZ_SEED=${seed} ${text}`);
  }
});

test('Changed forms in random pieces are read as @fastify/busboy reads them, or refused by a named rule', async (t) => {
  const counts = new Map<string, number>();
  for (let seed = SEED; seed < SEED + COUNT; seed++) {
    const { rule = 'the same', text } = await judge(seed, true);
    assert.notEqual(rule, 'unexplained', `LGATEWAY_FUZZ_SEED=${seed} ${text}`);
    counts.set(rule, (counts.get(rule) ?? 0) + 1);
  }
  t.diagnostic(JSON.stringify([...counts]));
  // the changes reach the rules
  assert.ok(counts.size > 5 && (counts.get('the same') ?? 0) > COUNT / 10, JSON.stringify([...counts]));
});
