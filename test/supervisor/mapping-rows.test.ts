/** Rows of counters: a mapping keeps its row, also while it is gone, and a new one gets that of the one which went first. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAPPING_ROWS_SPARE, MappingRows } from '../../src/supervisor/mapping-rows.ts';

function neverCleared(): never {
  assert.fail('a row was cleared');
}

function names(rows: MappingRows, oldest: number): string[] {
  return rows.shown(oldest).map(({ name, row }) => `${name}=${row}`);
}

test('A mapping has its row as long as the process lives, and also when it comes again', () => {
  const rows = new MappingRows(['/a', '/b']);
  assert.deepEqual(rows.assign(['/a', '/b'], 0, neverCleared), [0, 1]);
  assert.equal(rows.used, 2);
  const cleared: number[] = [];
  assert.deepEqual(
    rows.assign(['/c', '/b'], 0, (row) => cleared.push(row)),
    [2, 1],
  );
  assert.deepEqual(cleared, [2]);
  rows.commit(['/c', '/b'], 1);
  assert.equal(rows.nameOf(2), '/c');
  assert.deepEqual(rows.assign(['/a', '/c'], 1, neverCleared), [0, 2]);
});

test('A removed mapping is shown as long as requests from before its removal may run', () => {
  const rows = new MappingRows(['/a', '/b']);
  rows.assign(['/b', '/c'], 0, () => undefined);
  assert.deepEqual(names(rows, 0), ['/a=0', '/b=1'], 'what is prepared only is not shown');
  rows.commit(['/b', '/c'], 1);
  assert.deepEqual(names(rows, 0), ['/b=1', '/c=2', '/a=0']);
  assert.deepEqual(names(rows, 1), ['/b=1', '/c=2']);
});

test('Without a free row a new mapping gets that of the one which went first, and is refused where all may still have requests', () => {
  const rows = new MappingRows(['/0']);
  assert.equal(rows.capacity, 1 + MAPPING_ROWS_SPARE);
  for (let generation = 1; generation <= MAPPING_ROWS_SPARE; generation++) {
    const name = `/${generation}`;
    assert.deepEqual(
      rows.assign([name], 0, () => undefined),
      [generation],
    );
    rows.commit([name], generation);
  }
  assert.throws(() => rows.assign(['/new'], 0, neverCleared), {
    code: 'LGW_RELOAD',
    message: new RegExp(`counters for ${rows.capacity} mappings`),
  });
  // generations 0 and 1 have ended
  const cleared: number[] = [];
  const clear = (row: number): number => cleared.push(row);
  assert.deepEqual(rows.assign(['/new', '/newer'], 2, clear), [0, 1]);
  assert.deepEqual(cleared, [0, 1]);
  assert.throws(() => rows.assign(['/new', '/newer', '/newest'], 2, neverCleared), { code: 'LGW_RELOAD' });
  // one that was never served goes first
  assert.deepEqual(rows.assign(['/newest'], 2, clear), [0]);
  assert.equal(rows.used, rows.capacity);
});
