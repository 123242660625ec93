import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIELDS_MAX } from '../../src/http/semantics/fields.ts';
import { SET_FIELDS_MAX } from '../../src/mapping/proxy-settings.ts';

test('A proxy may set as many fields as a head may have', () => {
  assert.equal(SET_FIELDS_MAX, FIELDS_MAX);
});
