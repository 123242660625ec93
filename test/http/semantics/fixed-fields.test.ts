/** FixedFields: what is kept for a list of fields, and for which lists. */
import { strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { FixedFields } from '../../../src/http/semantics/fixed-fields.ts';

test('FixedFields remembers lists that cannot change, and no others', () => {
  const known = new FixedFields<number>();
  const fixed = Object.freeze(['a', 'b']);
  const open = ['a', 'b'];
  known.set(fixed, 1);
  known.set(open, 2);
  strictEqual(known.get(fixed), 1);
  strictEqual(known.get(open), undefined);
  strictEqual(known.get(Object.freeze(['a', 'b'])), undefined, 'an equal list is another');
});
