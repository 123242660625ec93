/** The order of what waits to be sent over HTTP/2: turns and urgency between streams, windows within one stream. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isLent, takeChunk } from '../../../src/http/exchange/chunk-pool.ts';
import { FLAG, FRAME_PAYLOAD_BYTES_MAX, FRAME_TYPE } from '../../../src/http/h2/frame-types.ts';
import { DEFAULT_PRIORITY, parsePriority } from '../../../src/http/h2/priority.ts';
import { SendQueue } from '../../../src/http/h2/send-queue.ts';
import { type Scheduled, SendScheduler } from '../../../src/http/h2/send-scheduler.ts';
import { RecordedOutput } from '../../support/recorded-output.ts';

class Item implements Scheduled {
  readonly name: string;
  urgency: number;
  incremental: boolean;
  scheduled = false;
  next: Scheduled | undefined = undefined;
  previous: Scheduled | undefined = undefined;

  constructor(name: string, urgency = 3, incremental = true) {
    this.name = name;
    this.urgency = urgency;
    this.incremental = incremental;
  }
}

function turns(scheduler: SendScheduler<Item>, count: number): string {
  let names = '';
  for (let i = 0; i < count; i++) names += scheduler.next()?.name ?? '-';
  return names;
}

test('SendScheduler.next() gives each stream its turn', () => {
  const scheduler = new SendScheduler<Item>();
  strictEqual(scheduler.next(), undefined);
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new Item(name)) as [Item, Item, Item];
  for (const item of [a, b, c, a]) scheduler.add(item);
  strictEqual(turns(scheduler, 7), 'abcabca');
  scheduler.remove(b);
  scheduler.remove(b);
  strictEqual(turns(scheduler, 4), 'caca');
  scheduler.remove(a);
  scheduler.remove(c);
  strictEqual(scheduler.isEmpty, true);
});

test('SendScheduler.next() sends the more urgent first, and whole what is not incremental', () => {
  const scheduler = new SendScheduler<Item>();
  const whole = new Item('w', 3, false);
  const urgent = new Item('u', 1);
  for (const item of [new Item('l', 7), whole, new Item('i', 3), urgent]) scheduler.add(item);
  strictEqual(turns(scheduler, 3), 'uuu');
  scheduler.remove(urgent);
  strictEqual(turns(scheduler, 3), 'www');
  scheduler.remove(whole);
  strictEqual(turns(scheduler, 2), 'ii');
});

test('SendScheduler.reprioritise() moves a stream, in the line or not', () => {
  const scheduler = new SendScheduler<Item>();
  const [a, b] = [new Item('a'), new Item('b')];
  scheduler.add(a);
  scheduler.reprioritise(b, 0, false);
  strictEqual(turns(scheduler, 2), 'aa');
  scheduler.add(b);
  strictEqual(turns(scheduler, 2), 'bb');
  scheduler.reprioritise(b, 7, true);
  strictEqual(turns(scheduler, 2), 'aa');
});

test('SendScheduler keeps its lines whole whatever is done to them', () => {
  const step = fc.tuple(fc.constantFrom('add', 'remove', 'next', 'move'), fc.nat(5), fc.nat(7), fc.boolean());
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const scheduler = new SendScheduler<Item>();
      const items = Array.from({ length: 6 }, (_, i) => new Item(String(i)));
      for (const [action, which, urgency, incremental] of steps) {
        const item = items[which] as Item;
        if (action === 'add') scheduler.add(item);
        else if (action === 'remove') scheduler.remove(item);
        else if (action === 'move') scheduler.reprioritise(item, urgency, incremental);
        else {
          const waiting = items.filter(({ scheduled }) => scheduled);
          const next = scheduler.next();
          strictEqual(
            next?.urgency,
            waiting.length === 0 ? undefined : Math.min(...waiting.map((w) => w.urgency)),
          );
        }
      }
      const left = items.filter(({ scheduled }) => scheduled).map(({ name }) => name);
      const found: string[] = [];
      for (let item = scheduler.next(); item !== undefined; item = scheduler.next()) {
        found.push(item.name);
        scheduler.remove(item);
      }
      deepStrictEqual(found.sort(), left);
    }),
  );
});

test('parsePriority() reads urgency and incremental, and ignores what it does not know', () => {
  deepStrictEqual(parsePriority('u=1'), { urgency: 1, incremental: false });
  deepStrictEqual(parsePriority('u=5, i'), { urgency: 5, incremental: true });
  deepStrictEqual(parsePriority('i=?0,u=0'), { urgency: 0, incremental: false });
  deepStrictEqual(parsePriority(' i=?1;x=y , z=4'), { urgency: 3, incremental: true });
  deepStrictEqual(parsePriority('u=8, i=2, u="1"'), { urgency: 3, incremental: false });
  deepStrictEqual(parsePriority(''), { urgency: 3, incremental: false });
  deepStrictEqual(DEFAULT_PRIORITY, { urgency: 3, incremental: true });
});

test('SendQueue sends frames no larger than there is room, and ends the stream with the last of its bytes', () => {
  const recorded = new RecordedOutput();
  const queue = new SendQueue();
  strictEqual(queue.sendFrame(recorded.output, 5, 10, true), 0);
  queue.push('abcdef');
  queue.push(Buffer.from('ghi'));
  const sizes = [4, 10, 2, 10].map((room) => queue.sendFrame(recorded.output, 5, room, true));
  deepStrictEqual(sizes, [4, 2, 2, 1]);
  deepStrictEqual(
    recorded.take().map(({ type, flags, stream, payload }) => [type, flags, stream, String(payload)]),
    [
      [FRAME_TYPE.data, 0, 5, 'abcd'],
      [FRAME_TYPE.data, 0, 5, 'ef'],
      [FRAME_TYPE.data, 0, 5, 'gh'],
      [FRAME_TYPE.data, FLAG.endStream, 5, 'i'],
    ],
  );
  queue.push('x');
  queue.sendFrame(recorded.output, 5, 10, false);
  strictEqual(recorded.take()[0]?.flags, 0);
});

test('SendQueue keeps order and count of its bytes, whatever the pieces are and the room is', () => {
  const piece = fc.record({ size: fc.integer({ min: 1, max: 200 }), isText: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 150 }), { minLength: 1, maxLength: 4 }),
      (pieces, rooms) => {
        const recorded = new RecordedOutput();
        const queue = new SendQueue();
        const pushed = pieces.map(({ size }, n) => Buffer.alloc(size, 65 + n));
        for (const [n, bytes] of pushed.entries())
          queue.push(pieces[n]?.isText === true ? bytes.toString('latin1') : bytes);
        const before = recorded.output.sendWindow;
        let left = Buffer.concat(pushed).length;
        strictEqual(queue.bytes, left);
        for (let turn = 0; queue.bytes > 0; turn++) {
          const room = rooms[turn % rooms.length] as number;
          const sent = queue.sendFrame(recorded.output, 1, room, true);
          ok(sent > 0 && sent <= room);
          left -= sent;
          strictEqual(queue.bytes, left);
        }
        const frames = recorded.take();
        const whole = Buffer.concat(frames.map(({ payload }) => payload));
        ok(whole.equals(Buffer.concat(pushed)));
        strictEqual(before - recorded.output.sendWindow, whole.length);
        strictEqual(
          frames.findIndex(({ flags }) => flags === FLAG.endStream),
          frames.length - 1,
        );
      },
    ),
    { numRuns: 50, seed: 1 },
  );
});

test('SendQueue gives chunks back when they have been sent whole, and when it is cleared', () => {
  const { output } = new RecordedOutput();
  const queue = new SendQueue();
  const [sent, half, waiting] = [takeChunk(), takeChunk(), takeChunk()];
  for (const chunk of [sent, half, waiting]) queue.push(chunk);
  queue.sendFrame(output, 1, FRAME_PAYLOAD_BYTES_MAX, false);
  queue.sendFrame(output, 1, 100, false);
  deepStrictEqual([sent, half, waiting].map(isLent), [false, true, true]);
  queue.clear();
  deepStrictEqual([sent, half, waiting].map(isLent), [false, false, false]);
  strictEqual(queue.bytes, 0);
  queue.push('fresh');
  strictEqual(queue.sendFrame(output, 1, 100, true), 5);
});
