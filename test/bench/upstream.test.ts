/** Tests the upstream of the bench's fetching handlers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Upstream } from '../../bench/upstream.ts';
import { BODY } from '../../bench/workspace.ts';

test('Upstream is one process for all that acquire it, and ends behind the last one', async () => {
  const [first, second] = await Promise.all([Upstream.acquire(), Upstream.acquire()]);
  assert.equal(first, second);
  Upstream.release();
  assert.equal(await (await fetch(first.url)).text(), BODY);
  Upstream.release();
  const deadline = AbortSignal.timeout(60_000);
  for (;;) {
    const answers = await fetch(first.url, { signal: deadline }).then(
      () => true,
      () => false,
    );
    assert.ok(!deadline.aborted, 'the upstream ended');
    if (!answers) break;
    await sleep(10);
  }
});
