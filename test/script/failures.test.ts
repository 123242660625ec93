import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import type { FakeExchange } from '../support/fake-exchange.ts';
import { eventually, ScriptHarness, turn } from '../support/script-harness.ts';

// ---- errors ----

test('An error before the head answers 500 and is logged with its traceback', async () => {
  const harness = await ScriptHarness.run(`local function inner() error('oops') end inner()`);
  const exchange = await harness.request('/run');
  assert.deepEqual([exchange.status, exchange.broken], [500, false]);
  const line = harness.log.find((entry) => entry.startsWith('error Lua error'));
  assert.match(
    line ?? '',
    /^error Lua error: script\.lua:7: oops\nstack traceback:\n\t\[C\]: in function 'error'\n\tscript\.lua:7: in local 'inner'\n\tscript\.lua:7: in function <script\.lua:7> request=\S+ mapping=\/ handler=\/run method=GET target=\/run$/,
  );
  assert.equal(harness.counters.get('luaErrorsTotal'), 1);
  await harness.expectNothingOpen();
  await harness.close();
});

test('An error after the head was given but not sent answers 500, after it was sent breaks the response', async () => {
  const harness = await ScriptHarness.run(
    `say('body') if header['x-wait'] then httpd.read(nil, 1) end error('late')`,
  );
  const unsent = await harness.request('/run');
  assert.deepEqual([unsent.status, unsent.text, unsent.broken], [500, '', false]);
  const sent = harness.begin('/run', { body: 'open', fields: ['x-wait', '1'] });
  sent.body.supply('x');
  await sent.closed;
  assert.deepEqual([sent.status, sent.broken], [200, true]);
  await harness.expectNothingOpen();
  await harness.close();
});

for (const [value, logged] of [
  ["setmetatable({}, {__tostring = function() return 'described' end})", 'described'],
  ['nil', '(error object is a nil value)'],
  ['{}', '(error object is a table value)'],
  ['42', '42'],
  ["'größe'", 'script.lua:7: größe'],
] as const) {
  test(`error(${value}) is logged as "${logged}"`, async () => {
    const harness = await ScriptHarness.run(Buffer.from(`error(${value})`).toString('latin1'));
    assert.equal((await harness.request('/run')).status, 500);
    assert(
      harness.log.some((line) => line.startsWith(`error Lua error: ${logged}\n`)),
      harness.log.join('\n'),
    );
    await harness.close();
  });
}

test('A handler that sends nothing answers 500 with a line in the log', async () => {
  const harness = await ScriptHarness.run('');
  assert.equal((await harness.request('/run')).status, 500);
  assert(harness.log.some((line) => line.startsWith('error Handler sent nothing')));
  await harness.close();
});

test('A handler that returns a string, as scripts for other servers do, is told how to send it', async () => {
  const harness = await ScriptHarness.run(`return 'Hello'`);
  assert.equal((await harness.request('/run')).status, 500);
  assert.match(
    harness.log.join('\n'),
    /Handler sent nothing: it returned a string, .*httpd\.write\(nil, s\) sends one/,
  );
  await harness.close();
});

test('One failing request disturbs no other', async () => {
  const harness = await ScriptHarness.run(
    `local n = httpd.read(nil, 1) if n == 'x' then error('mine') end say(n)`,
  );
  const exchanges = Array.from({ length: 50 }, () => harness.begin('/run', { body: 'open' }));
  exchanges.forEach((exchange, i) => {
    exchange.body.supply(i % 2 === 0 ? 'x' : 'o');
  });
  await Promise.all(exchanges.map((exchange) => exchange.closed));
  assert.deepEqual(
    exchanges.map((exchange) => exchange.status),
    exchanges.map((_, i) => (i % 2 === 0 ? 500 : 200)),
  );
  await harness.expectNothingOpen();
  await harness.close();
});

test('Hundreds of errors a second are counted, and not all of them logged', async () => {
  const harness = await ScriptHarness.run(`error('again')`);
  for (let i = 0; i < 300; i++) await harness.request('/run');
  assert.equal(harness.counters.get('luaErrorsTotal'), 300);
  const lines = harness.log.filter((line) => line.startsWith('error Lua error')).length;
  assert(lines >= 20 && lines < 200, `${lines} lines`);
  await harness.close();
});

test('A script that cannot be loaded tells where and why', async () => {
  await assert.rejects(ScriptHarness.load('x = = 1'), /script\.lua:1: unexpected symbol near '='/);
  await assert.rejects(
    ScriptHarness.load('local function f() error("at load") end\nf()'),
    /script\.lua:1: at load\nstack traceback:\n.*\n\tscript\.lua:1: in local 'f'\n\tscript\.lua:2: in main chunk/,
  );
  await assert.rejects(ScriptHarness.load("require 'nowhere'"), /module 'nowhere' not found/);
});

// ---- the client goes away ----

const CLOSER = `local guard <close> = setmetatable({}, {__close = function() print('closed') end})`;

type Ready = (harness: ScriptHarness, exchange: FakeExchange) => boolean;
const waitsForBody: Ready = (_, exchange) => exchange.body.awaited;
const waitsForRoom: Ready = (_, exchange) => exchange.writerWaits;
const hasProcess: Ready = ({ processes }) => processes.running === 1;

const WAITS: readonly (readonly [name: string, body: string, ready: Ready])[] = [
  ['a read of the body', 'httpd.read(nil, 10)', waitsForBody],
  ['a read inside a coroutine', 'coroutine.wrap(function() httpd.read(nil, 10) end)()', waitsForBody],
  ['a write', `while true do httpd.write(nil, 'x') end`, waitsForRoom],
  ['a write inside pcall', `while true do pcall(httpd.write, nil, 'x') end`, waitsForRoom],
  ['one write of many bytes', `httpd.write(nil, ('x'):rep(10 * 1024 * 1024))`, waitsForRoom],
  ['a read of a pipe', `local p <close> = io.popen('sleep 30') p:read('a')`, hasProcess],
  ['a read of a pipe nobody closes', `local p = io.popen('sleep 30') httpd.read(p, 10)`, hasProcess],
  [
    'a write to a pipe',
    `local p <close> = io.popen('sleep 30', 'w') while true do p:write(('x'):rep(100000)) end`,
    hasProcess,
  ],
  ['the close of a pipe', `local p = io.popen('sleep 30') p:close()`, hasProcess],
  ['os.execute', `os.execute('sleep 30')`, hasProcess],
  [
    'the opening of a FIFO',
    `local f <close> = io.open('fifo') f:read(1)`,
    ({ fileSystem }) => fileSystem.files === 1,
  ],
];

for (const [name, body, ready] of WAITS) {
  test(`A client that goes during ${name} ends the coroutine and everything it opened`, async () => {
    const harness = await ScriptHarness.run(`${CLOSER} ${body} print('never')`);
    execFileSync('mkfifo', [join(harness.folder, 'fifo')]);
    const exchange = harness.begin('/run', { body: 'open', roomBytes: 1000, drains: false });
    await eventually(() => assert(ready(harness, exchange)));
    exchange.abort();
    await harness.expectNothingOpen();
    await eventually(() => assert(harness.log.some((line) => line.startsWith('info closed'))));
    assert(!harness.log.some((line) => line.startsWith('info never')));
    await eventually(() => assert.deepEqual([harness.processes.running, harness.fileSystem.files], [0, 0]));
    await harness.close();
  });
}

test('Files a handler has open are closed when its client goes, and what was written is on the disk', async () => {
  const harness = await ScriptHarness.run(`
    local f <close> = io.open('out.txt', 'w') f:write('kept')
    local g = io.open('forgotten.txt', 'w') g:write('kept too')
    httpd.read(nil, 1)`);
  const exchange = harness.begin('/run', { body: 'open' });
  await eventually(() => assert(exchange.body.awaited));
  exchange.abort();
  await harness.expectNothingOpen();
  await eventually(() =>
    assert.deepEqual([harness.readFile('out.txt'), harness.readFile('forgotten.txt')], ['kept', 'kept too']),
  );
  await harness.close();
});

test('A client that goes while the handler computes ends it at the next wait', async () => {
  const harness = await ScriptHarness.run(
    `${CLOSER} httpd.write(nil, 'x') while true do httpd.write(nil, 'more') end`,
  );
  const exchange = harness.begin('/run', { roomBytes: 1 });
  exchange.abort();
  await harness.expectNothingOpen();
  assert(harness.log.some((line) => line.startsWith('info closed')));
  await harness.close();
});

test('A read that a broken body ends returns what came, then nil, message and code', async () => {
  const harness = await ScriptHarness.run(
    `note = {httpd.read(nil, 10)} note[#note + 1] = select('#', httpd.read(nil, 10)) print(table.unpack(note)) print(httpd.read(nil, 10))`,
  );
  const exchange = harness.begin('/run', { body: 'open' });
  exchange.onAbort = undefined;
  exchange.body.supply('abc');
  exchange.abort();
  await harness.expectNothingOpen();
  assert(
    harness.log.includes('info abc\t3 mapping=/ request='.slice(0, 10)) ||
      harness.log.some((line) => /^info abc\t3 /.test(line)),
    harness.log.join('\n'),
  );
  assert(harness.log.some((line) => /^info nil\tClient has gone\tclosed /.test(line)));
  await harness.close();
});

test('Closing the script ends what runs with 503, runs close variables and finalisers', async () => {
  const harness = await ScriptHarness.run(
    `${CLOSER} keep = setmetatable({}, {__gc = function() print('finalised') end}) httpd.read(nil, 1)`,
  );
  const exchange = harness.begin('/run', { body: 'open' });
  harness.script.close();
  await exchange.closed;
  assert.equal(exchange.status, 503);
  assert(harness.log.some((line) => line.startsWith('info closed')));
  assert(harness.log.some((line) => line.startsWith('info finalised')));
  assert.equal((await harness.request('/run')).status, 503);
  await harness.close();
});

test('LoadedScript.runs.idle() resolves when the last request has ended', async () => {
  const harness = await ScriptHarness.run(`httpd.read(nil, 1) say('done')`);
  await harness.script.runs.idle();
  const exchange = harness.begin('/run', { body: 'open' });
  let idle = false;
  const waiting = harness.script.runs.idle().then(() => {
    idle = true;
  });
  await turn();
  assert.equal(idle, false);
  exchange.body.finish();
  await waiting;
  assert.equal(exchange.text, 'done\n');
  await harness.close();
});
