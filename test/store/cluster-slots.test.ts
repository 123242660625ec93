/** Slots of keys, the map of a cluster, and redirections. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRedirect, readSlots, slotOf } from '../../src/store/cluster-slots.ts';

test('The slot of a key is its CRC-16, by what stands in its first braces', () => {
  // of the cluster specification
  assert.equal(slotOf('123456789'), 0x31c3);
  assert.equal(slotOf('{user1000}.following'), slotOf('user1000'));
  assert.equal(slotOf('foo{{bar}}zap'), slotOf('{bar'));
  assert.equal(slotOf('foo{bar}{zap}'), slotOf('bar'));
  for (const whole of ['foo{}{bar}', '{}x', 'foo{bar', 'foo}bar{'])
    assert.notEqual(slotOf(whole), slotOf('bar'));
});

test('The masters are read from CLUSTER SLOTS', () => {
  const host = Buffer.from('10.0.0.1');
  assert.deepEqual(readSlots([[0, 5460, [host, 7000, Buffer.from('id'), []], [host, 7003]]]), [
    { from: 0, to: 5460, host: '10.0.0.1', port: 7000 },
  ]);
  assert.deepEqual(readSlots([[5, 5, [null, 7000]]]), [{ from: 5, to: 5, host: null, port: 7000 }]);
  const wrong = [
    null,
    'OK',
    [1],
    [[0, 16_384, [host, 1]]],
    [[5, 4, [host, 1]]],
    [[0, 1, [host, 0]]],
    [[0, 1]],
  ];
  assert.deepEqual(
    wrong.map(readSlots).filter((ranges) => ranges !== undefined),
    [],
  );
});

test('Redirections name a slot and a server', () => {
  assert.deepEqual(readRedirect('MOVED 3999 127.0.0.1:6381'), { slot: 3999, host: '127.0.0.1', port: 6381 });
  assert.deepEqual(readRedirect('ASK 0 ::1:6381'), { slot: 0, host: '::1', port: 6381 });
  assert.deepEqual(readRedirect('MOVED 1 :6381'), { slot: 1, host: '', port: 6381 });
  for (const wrong of ['MOVED 99999 a:1', 'MOVED 1 a:0', 'MOVED 1 a:70000', 'MOVED a', 'ERR x'])
    assert.equal(readRedirect(wrong), undefined);
});
