/** The queue of bytes against a plain list: whatever is put in comes out in order, whoever owns it. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteQueue } from '../../src/base/byte-queue.ts';

const RUNS = 2_000;

type Step =
  | { readonly act: 'push'; readonly size: number }
  | { readonly act: 'unshift'; readonly size: number }
  | { readonly act: 'pushCopy'; readonly size: number; readonly following: number }
  | { readonly act: 'take' | 'takeInto' | 'takeChunk'; readonly size: number };

const size = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constantFrom(255, 256, 257, 4096, 16_375, 70_000));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ act: fc.constantFrom('push' as const, 'unshift' as const), size }),
  fc.record({ act: fc.constant('pushCopy' as const), size, following: size }),
  fc.record({
    act: fc.constantFrom('take' as const, 'takeInto' as const, 'takeChunk' as const),
    size,
  }),
);

test('ByteQueue gives out what was put in, in order, after copies and chunks of every size', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const queue = new ByteQueue();
      let model = Buffer.alloc(0);
      const views: { readonly view: Uint8Array; readonly bytes: Buffer }[] = [];
      let value = 0;
      const bytesOf = (count: number): Buffer =>
        Buffer.from(Uint8Array.from({ length: count }, () => value++));
      for (const each of steps) {
        const count = Math.min(each.size, model.length);
        switch (each.act) {
          case 'push':
          case 'pushCopy': {
            const bytes = bytesOf(each.size);
            model = Buffer.concat([model, bytes]);
            if (each.act === 'push') queue.push(bytes);
            else {
              queue.pushCopy(bytes, each.following);
              // they were only lent
              bytes.fill(0xee);
            }
            break;
          }
          case 'unshift': {
            const bytes = bytesOf(each.size);
            model = Buffer.concat([bytes, model]);
            queue.unshift(bytes);
            break;
          }
          case 'takeInto': {
            const target = new Uint8Array(count + 3);
            queue.takeInto(target, 2, count);
            deepStrictEqual([...target], [0, 0, ...model.subarray(0, count), 0]);
            model = model.subarray(count);
            break;
          }
          default: {
            const view = each.act === 'take' ? queue.take(count) : queue.takeChunk(each.size);
            const bytes = Buffer.from(model.subarray(0, view.length));
            if (each.act === 'take') strictEqual(view.length, count);
            views.push({ view, bytes });
            model = model.subarray(view.length);
          }
        }
        strictEqual(queue.length, model.length);
        // what was taken is the taker's: later copies go elsewhere
        for (const { view, bytes } of views) strictEqual(bytes.compare(view), 0);
      }
    }),
    { numRuns: RUNS },
  );
});

test('ByteQueue gathers copies in few chunks, and allocates little for little', () => {
  const queue = new ByteQueue();
  for (let i = 0; i < 64; i++) queue.pushCopy(Buffer.alloc(1024, i), 64 * 1024);
  let chunks = 0;
  for (; queue.length > 0; chunks++) queue.takeChunk();
  strictEqual(chunks <= 2, true, `${chunks} chunks`);
  queue.pushCopy(Buffer.from('a'), 1_000_000_000);
  strictEqual(queue.takeChunk().buffer.byteLength <= 64 * 1024, true);
  queue.pushCopy(Buffer.from('a'));
  strictEqual(queue.takeChunk().buffer.byteLength, 1);
});
