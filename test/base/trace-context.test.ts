/** What is read of `traceparent`, and what is passed on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTraceContext, traceFields } from '../../src/base/trace-context.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

function read(parent: string | undefined, state?: string): readonly string[] | undefined {
  const context = readTraceContext(parent, () => state);
  return context && traceFields(context);
}

test('A trace goes on below a span of its own, with the bits of flags that are known', () => {
  for (const [flags, shown] of [
    ['00', '00'],
    ['01', '01'],
    ['ff', '03'],
    ['fc', '00'],
  ]) {
    const [name, value = ''] = read(`00-${TRACE}-${PARENT}-${flags}`) ?? [];
    assert.equal(name, 'traceparent');
    assert.match(value, new RegExp(`^00-${TRACE}-[0-9a-f]{16}-${shown}$`));
    assert.ok(!value.includes(PARENT));
  }
  const spans = new Set(Array.from({ length: 2000 }, () => read(`00-${TRACE}-${PARENT}-01`)?.[1]));
  assert.equal(spans.size, 2000);
});

test('A later version is read as far as it is known, and goes on as version 00', () => {
  for (const version of [`01-${TRACE}-${PARENT}-01`, `cc-${TRACE}-${PARENT}-01-what-the-future-will-be`])
    assert.match(read(version)?.[1] ?? '', new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
});

test('What is not well-formed is no trace', () => {
  for (const wrong of [
    undefined,
    '',
    `00-${TRACE}-${PARENT}`,
    `00-${TRACE}-${PARENT}-01-more`,
    `00-${TRACE}-${PARENT}-1`,
    `00-${TRACE}-${PARENT}-01 `,
    ` 00-${TRACE}-${PARENT}-01`,
    `ff-${TRACE}-${PARENT}-01`,
    `0-${TRACE}-${PARENT}-01`,
    `00-${TRACE.toUpperCase()}-${PARENT}-01`,
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE}-${PARENT}-0g`,
    `00-${TRACE.slice(1)}-${PARENT}-01`,
    // two fields
    `00-${TRACE}-${PARENT}-01, 00-${TRACE}-${PARENT}-01`,
    `cc-${TRACE}-${PARENT}-01.more`,
    `cc-${TRACE}-${PARENT}-01-${'x'.repeat(300)}`,
  ])
    assert.equal(read(wrong), undefined, wrong);
});

test('tracestate goes on as it came up to 512 characters, and is not looked at without a trace', () => {
  const parent = `00-${TRACE}-${PARENT}-01`;
  assert.deepEqual(read(parent, 'a=1,b=2')?.slice(2), ['tracestate', 'a=1,b=2']);
  assert.equal(read(parent, 'x'.repeat(512))?.length, 4);
  assert.equal(read(parent, 'x'.repeat(513))?.length, 2);
  assert.equal(read(parent, '')?.length, 2);
  readTraceContext('wrong', () => assert.fail('not looked at'));
});
