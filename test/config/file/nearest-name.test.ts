/** The name that somebody most likely meant. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editDistance, nearestName } from '../../../src/config/file/nearest-name.ts';

test('editDistance() counts what is missing, too much, wrong or has changed places', () => {
  for (const [one, other, distance] of [
    ['', '', 0],
    ['port', 'port', 0],
    ['prot', 'port', 1],
    ['adress', 'address', 1],
    ['workerss', 'workers', 1],
    ['wirker', 'worker', 1],
    ['ab', '', 2],
    ['ca', 'abc', 3],
  ] as const) {
    assert.equal(editDistance(one, other), distance, `${one} ${other}`);
    assert.equal(editDistance(other, one), distance, `${other} ${one}`);
  }
});

test('nearestName() takes at most two changes, and less than the whole word', () => {
  const names = ['address', 'port', 'user'];
  assert.equal(nearestName('adress', names), 'address');
  assert.equal(nearestName('adres', names), 'address');
  assert.equal(nearestName('adre', names), undefined);
  assert.equal(nearestName('x', names), undefined);
  assert.equal(nearestName('p'.repeat(65), names), undefined);
});
