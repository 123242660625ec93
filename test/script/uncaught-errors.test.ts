/** The description of an error that no code caught must cost neither the state nor an endless log. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';

/** Enough objects to make a collection, copy or traceback take longer than the bounds allow. */
const TABLES = 600_000;
/** Bytes. A description may take no more than 50 ms of processor time, which 5 MB can reach on a loaded machine. */
const LONG = 500_000;
const LARGE = 5_000_000;
/** Text, traceback and the other parts of a line. */
const LINE_BYTES_MAX = 40_000;
/** Bytes of a message that the log keeps. */
const KEPT = 8192;

interface Case {
  readonly body: string;
  readonly logged: RegExp;
}

const CASES: Readonly<Record<string, Case>> = {
  'a message of 5 MB': {
    body: `error(('x'):rep(${LARGE}), 0)`,
    logged: new RegExp(`Lua error: x{${KEPT}}\\.\\.\\. \\(${LARGE} bytes\\)\\nstack traceback:`),
  },
  'a message as long as may be': {
    body: `error(('x'):rep(${KEPT}), 0)`,
    logged: new RegExp(`Lua error: x{${KEPT}}\\nstack traceback:`),
  },
  'a message one byte longer': {
    body: `error(('x'):rep(${KEPT + 1}), 0)`,
    logged: new RegExp(`Lua error: x{${KEPT}}\\.\\.\\. \\(${KEPT + 1} bytes\\)\\nstack traceback:`),
  },
  'a message of characters of three bytes': {
    body: `error(('\\xe2\\x82\\xac'):rep(${KEPT}), 0)`,
    logged: new RegExp(`Lua error: €{2730}\\.\\.\\. \\(${3 * KEPT} bytes\\)\\nstack traceback:`),
  },
  'a stack that overflows': {
    body: 'local function v(n) return 1 + v(n) end v({})',
    logged: /Lua error: script\.lua:\d+: stack overflow\nstack traceback:/,
  },
  'an object that describes itself at length': {
    body: `error(setmetatable({}, {__tostring = function() return ('z'):rep(${LONG}) end}))`,
    logged: new RegExp(`Lua error: z{${KEPT}}\\.\\.\\. \\(${LONG} bytes\\)`),
  },
  'an object that describes itself for ever': {
    body: 'error(setmetatable({}, {__tostring = function() while true do end end}))',
    logged: /Lua error: \(error object is a table value\)/,
  },
  'an error of a coroutine': {
    body: `coroutine.wrap(function() error(('y'):rep(${LARGE}), 0) end)()`,
    logged: /Lua error: script\.lua:\d+: y{8000}/,
  },
  'an error of a <close> variable': {
    body: `local c <close> = setmetatable({}, {__close = function() error(('w'):rep(${LARGE}), 0) end})`,
    logged: /Lua error: w{8000}/,
  },
  'an error of a task': {
    body: `httpd.spawn(function() error(('t'):rep(${LARGE}), 0) end) httpd.write(nil, 'sent')`,
    logged: /Lua error: t{8000}/,
  },
  'a text that does not compile': {
    body: `error((select(2, load('x = = ' .. ('k'):rep(${LARGE})))), 0)`,
    logged: /Lua error: .*unexpected symbol near '='/,
  },
};

const SCRIPT = `local httpd = require 'httpd'
  table_of_tables = {}
  for i = 1, ${TABLES} do table_of_tables[i] = {i} end
  local woken
  httpd.register_handler('/neighbour', function()
    woken = false
    repeat httpd.sleep(0.01) until woken
    httpd.write(nil, 'unharmed')
  end)
  httpd.register_handler('/wake', function() woken = true httpd.write(nil, 'woken') end)
  ${Object.values(CASES)
    .map(({ body }, i) => `httpd.register_handler('/case${i}', function() ${body}\nend)`)
    .join('\n')}`;

test('Describing an error harms nobody else, whatever it is and however large the heap', async (t) => {
  const harness = await ScriptHarness.load(SCRIPT);
  try {
    for (const [i, [name, { logged }]] of Object.entries(CASES).entries()) {
      await t.test(name, async () => {
        harness.log.length = 0;
        const neighbour = harness.request('/neighbour');
        await harness.request(`/case${i}`);
        await harness.request('/wake');
        assert.equal((await neighbour).text, 'unharmed');
        const log = harness.log.join('\n');
        assert.match(log, logged);
        assert.doesNotMatch(log, /CPU limit|abandoned|given up/);
        for (const line of harness.log) assert(line.length < LINE_BYTES_MAX, `${line.length} characters`);
      });
    }
  } finally {
    await harness.close();
  }
});
