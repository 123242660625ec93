/** UnorderedList against a Set: things come and go, also while each is looked at. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Placed, UnorderedList } from '../../src/base/unordered-list.ts';

const THINGS = 12;
const number = fc.nat(THINGS - 1);

test('A list holds what a Set would, and each that stays is looked at', () => {
  fc.assert(
    fc.property(fc.array(number), fc.array(number), fc.array(number), (first, amid, absent) => {
      const things: Placed[] = Array.from({ length: THINGS }, () => ({ place: 0 }));
      const list = new UnorderedList<Placed>();
      const model = new Set<Placed>();
      const toggle = (index: number): void => {
        const thing = things[index] as Placed;
        equal(list.has(thing), model.has(thing));
        if (model.delete(thing)) list.remove(thing);
        else {
          model.add(thing);
          list.add(thing);
        }
        equal(list.size, model.size);
      };
      first.forEach(toggle);
      for (const index of absent) {
        const thing = things[index] as Placed;
        if (!model.has(thing)) list.remove(thing);
      }
      equal(list.size, model.size);
      const stays = new Set(model);
      const seen = new Set<Placed>();
      const changes = amid.values();
      list.forEach((thing) => {
        seen.add(thing);
        const { value } = changes.next();
        if (value === undefined) return;
        stays.delete(things[value] as Placed);
        toggle(value);
      });
      deepEqual(
        [...stays].filter((thing) => !seen.has(thing)),
        [],
      );
    }),
  );
});
