/**
 * Compares the queue of bytes with a plain list: bytes come out in the order in which they went in, whichever owner their
 * memory has.
 */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteQueue } from '../../src/base/byte-queue.ts';

const RUNS = 2_000;
const BLOCK = 64 * 1024;

type Step =
  | { readonly act: 'push'; readonly size: number }
  | { readonly act: 'unshift'; readonly size: number }
  | { readonly act: 'pushCopy'; readonly size: number; readonly following: number }
  | { readonly act: 'take' | 'takeInto' | 'takeChunk' | 'lend'; readonly size: number };

const size = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constantFrom(255, 256, 257, 4096, 16_375, 70_000));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ act: fc.constantFrom('push' as const, 'unshift' as const), size }),
  fc.record({ act: fc.constant('pushCopy' as const), size, following: size }),
  fc.record({
    act: fc.constantFrom('take' as const, 'takeInto' as const, 'takeChunk' as const, 'lend' as const),
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
      const bytesOf = (count: number): Buffer => {
        const bytes = Buffer.alloc(count);
        for (let i = 0; i < count; i++) bytes[i] = value++;
        return bytes;
      };
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
              // the queue had only borrowed these bytes
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
          case 'lend': {
            const taken = queue.lend(each.size, (view) => {
              strictEqual(model.subarray(0, view.length).compare(view), 0);
              return view.length;
            });
            model = model.subarray(taken);
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
        // a taken view belongs to the caller, so later copies must not overwrite it
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

test('ByteQueue fills a block again once its bytes have been copied out, and never one that somebody sees', () => {
  const queue = new ByteQueue();
  const other = new ByteQueue();
  const memory = new Set<ArrayBufferLike>();
  const fill = (target: ByteQueue, value: number): void => target.pushCopy(Buffer.alloc(BLOCK, value));
  for (let i = 0; i < 50; i++) {
    fill(queue, i);
    strictEqual(queue.isReusable, true);
    queue.lend(BLOCK, (bytes) => memory.add(bytes.buffer));
  }
  strictEqual(memory.size <= 2, true, `${memory.size} blocks`);
  fill(queue, 1);
  const view = queue.take(10);
  strictEqual(queue.isReusable, false);
  queue.takeInto(new Uint8Array(BLOCK), 0, BLOCK - 10);
  fill(queue, 2);
  fill(other, 3);
  strictEqual(Buffer.alloc(10, 1).compare(view), 0);
  // a chunk given to another queue belongs to that queue
  const chunk = queue.takeChunk();
  other.push(chunk);
  other.takeInto(new Uint8Array(2 * BLOCK), 0, 2 * BLOCK);
  for (let i = 0; i < 20; i++) fill(other, 4);
  strictEqual(chunk[BLOCK - 1], 2);
});

test('ByteQueue.lend() bears that the user of the bytes clears the queue', () => {
  const queue = new ByteQueue();
  queue.pushCopy(Buffer.from('abc'));
  queue.lend(2, () => queue.clear());
  strictEqual(queue.length, 0);
  queue.push(Buffer.from('def'));
  strictEqual(Buffer.from(queue.take(3)).toString(), 'def');
});
