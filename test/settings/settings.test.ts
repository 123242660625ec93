/** Settings: what a reload applies, what it refuses, and in which order subscribers are called. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../../src/base/errors.ts';
import { RestartNeededError } from '../../src/settings/restart-needed-error.ts';
import { type Setting, Settings } from '../../src/settings/settings.ts';

interface Values {
  readonly timeoutMs: number;
  readonly names: readonly string[];
  readonly port: number;
  readonly token: string | undefined;
}

const VALUES: Values = { timeoutMs: 1000, names: ['a', 'b'], port: 80, token: 'hush' };

function row(
  name: keyof Values,
  atReload: 'applied' | 'restart',
  more: Partial<Setting<Values>> = {},
): Setting<Values> {
  return {
    name,
    options: [`--${name}`],
    atReload,
    read: (values) => values[name],
    show: (value) => JSON.stringify(value),
    ...more,
  };
}

const TABLE: readonly Setting<Values>[] = [
  row('timeoutMs', 'applied', { show: (ms) => String((ms as number) / 1000) }),
  row('names', 'applied'),
  row('port', 'restart', { options: [] }),
  row('token', 'restart', { isSecret: true }),
];

/** Makes settings with the values above, and two subscribers that record their calls. */
function create(): { settings: Settings<Values>; heard: [string, Values][] } {
  const settings = new Settings(VALUES, TABLE);
  const heard: [string, Values][] = [];
  settings.subscribe((values) => heard.push(['first', values]));
  settings.subscribe((values) => heard.push(['second', values]));
  return { settings, heard };
}

function refusalOf(action: () => unknown): RestartNeededError {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof RestartNeededError);
    return error;
  }
  assert.fail('it was not refused');
}

test('Settings.replace() says what has changed, and tells all subscribers in the order in which they came', () => {
  const { settings, heard } = create();
  const next = { ...VALUES, timeoutMs: 2500, names: ['a'] };
  assert.deepEqual(settings.replace(next), [
    { name: 'timeoutMs', options: ['--timeoutMs'], from: '1', to: '2.5' },
    { name: 'names', options: ['--names'], from: '["a","b"]', to: '["a"]' },
  ]);
  assert.equal(settings.values, next);
  assert.deepEqual(heard, [
    ['first', next],
    ['second', next],
  ]);
});

test('Settings.replace() compares values, not objects', () => {
  const { settings } = create();
  assert.deepEqual(settings.replace({ ...VALUES, names: ['a', 'b'] }), []);
  assert.equal(settings.replace({ ...VALUES, names: ['b', 'a'] }).length, 1);
});

test('Settings.replace() refuses everything that needs a restart by name, and then nothing changes', () => {
  const { settings, heard } = create();
  const error = refusalOf(() => settings.replace({ ...VALUES, timeoutMs: 1, port: 81, token: 'other' }));
  assert.ok(error instanceof GatewayError);
  assert.equal(error.code, 'LGW_RESTART');
  assert.equal(
    error.message,
    'A restart is needed to change port from 80 to 81; token (--token) from a secret to a secret',
  );
  assert.deepEqual(
    error.refused.map(({ name }) => name),
    ['port', 'token'],
  );
  assert.equal(settings.values, VALUES);
  assert.deepEqual(heard, []);
});

test('A setting that is taken away, or given for the first time, is shown as none', () => {
  const { settings } = create();
  assert.match(refusalOf(() => settings.check({ ...VALUES, token: undefined })).message, /a secret to none$/);
});

test('Long values are cut in messages', () => {
  const { settings } = create();
  const [change] = settings.check({ ...VALUES, names: ['n'.repeat(10_000)] });
  assert.equal(change?.to.length, 201);
});

test('Settings without a table apply everything', () => {
  const settings = new Settings(VALUES);
  let heard: Values | undefined;
  settings.subscribe((values) => {
    heard = values;
  });
  const next = { ...VALUES, port: 81 };
  assert.deepEqual(settings.replace(next), []);
  assert.equal(heard, next);
});
