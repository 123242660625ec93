/**
 * The short form of `npm run hostile`: what is most likely to break, and that the catalogue is what it says. Loops and memory have theirs in
 * test/attack/hostile-scripts.test.ts, what the sandbox refuses in test/libraries/sandbox-files.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FUNCTION_COSTS } from '../../src/script/function-costs.ts';
import { SHAPES } from '../support/api-fuzz-script.ts';
import { catalogue } from './catalogue.ts';
import type { Row } from './judge.ts';
import type { Entry } from './offender.ts';
import { formatPage, formatRow, formatSum } from './report.ts';
import { USUAL } from './scripts/functions.ts';
import { runSuite } from './suite.ts';

const SCRIPTS_MIN = 600;
const CLIENTS_MIN = 600;
/** A machine that stands still holds up the clients, too: a fault of the gateway is there each time. */
const TRIES_MAX = 3;

test('The catalogue has scripts and clients enough, each with a name of its own', async () => {
  const entries = await catalogue();
  assert.ok(entries.filter(({ kind }) => kind === 'script').length >= SCRIPTS_MIN);
  assert.ok(entries.filter(({ kind }) => kind === 'client').length >= CLIENTS_MIN);
  const names = entries.map(({ kind, group, offender }) => `${kind} ${group} ${offender.name}`);
  assert.equal(new Set(names).size, names.length);
});

test('Every function that a script can call has an entry in the catalogue', async () => {
  const names = new Set((await catalogue()).map(({ offender }) => offender.name));
  for (const name of FUNCTION_COSTS.keys()) assert.ok(names.has(`${name} with extreme arguments`), name);
});

// the list of costs has all functions, which test/script/function-costs.test.ts sees to
test('Every function has usual arguments, of which extreme ones are made, and no name in the table is that of none', () => {
  assert.deepEqual(Object.keys(USUAL).sort(), [...FUNCTION_COSTS.keys()].sort());
});

test('Every function of httpd that takes arguments has kinds of them, by which the fuzzer calls it', () => {
  const takers = [...FUNCTION_COSTS.keys()].filter(
    (name) => /^httpd\.[\w.]+$/.test(name) && USUAL[name] !== '',
  );
  assert.deepEqual(
    takers.filter((name) => SHAPES[name] === undefined),
    [],
  );
  assert.deepEqual(
    Object.keys(SHAPES).filter((name) => !FUNCTION_COSTS.has(name)),
    [],
  );
});

test('Hostile scripts and clients cost only themselves', async (t) => {
  const entries = (await catalogue()).filter(({ offender }) => offender.brief === true);
  const found = new Map<Entry, Row>();
  const take = (row: Row): void => void found.set(row.entry, row);
  const calms = await runSuite(entries, true, take);
  assert.equal(found.size, entries.length);
  for (let tries = 1; tries < TRIES_MAX; tries++) {
    const doubtful = entries.filter((entry) => found.get(entry)?.faults.length !== 0);
    await runSuite(doubtful, true, take);
  }
  const rows = [...found.values()];
  for (const row of rows)
    await t.test(`${row.entry.offender.name}`, () => assert.deepEqual(row.faults, [], formatRow(row)));
  assert.ok(formatPage(rows, calms, 'a machine').includes(formatSum(rows)));
});
