import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_PRIORITY, parsePriority } from '../../../src/http/h2/priority.ts';
import { type Scheduled, SendScheduler } from '../../../src/http/h2/send-scheduler.ts';

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
