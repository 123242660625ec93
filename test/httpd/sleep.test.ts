/** httpd.sleep: many at once, what it refuses, where it cannot wait, clients that go away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, ScriptHarness } from '../support/script-harness.ts';

const SLEEPERS = 600;
/** Duration of each sleep; one after another they would take minutes. */
const SLEEP_SECONDS = 0.3;

async function outputOf(body: string): Promise<string> {
  const harness = await ScriptHarness.run(body);
  try {
    const output = await harness.output();
    await harness.expectNothingOpen();
    return output;
  } finally {
    await harness.close();
  }
}

test('httpd.sleep() waits for at least the time it was given and returns nothing', async () => {
  const started = performance.now();
  assert.equal(await outputOf(`say(select('#', httpd.sleep(0.05)))`), '0\n');
  assert(performance.now() - started >= 49);
});

test('httpd.sleep() lets hundreds of requests of one worker sleep at the same time', async () => {
  const harness = await ScriptHarness.run(`httpd.sleep(${SLEEP_SECONDS}) say('awake')`);
  try {
    const started = performance.now();
    const answers = Array.from({ length: SLEEPERS }, () => harness.output());
    assert.equal(harness.counters.get('coroutines'), SLEEPERS);
    for (const answer of await Promise.all(answers)) assert.equal(answer, 'awake\n');
    assert(performance.now() - started < SLEEPERS * SLEEP_SECONDS * 100);
    await harness.expectNothingOpen();
  } finally {
    await harness.close();
  }
});

test('httpd.sleep(0) lets everybody else go on once', async () => {
  const harness = await ScriptHarness.load(`local httpd = require 'httpd'
    order = {}
    httpd.register_handler('/run', function(env)
      for i = 1, 3 do order[#order + 1] = env.QUERY_INFO httpd.sleep(0) end
      httpd.write(nil, table.concat(order))
    end)`);
  try {
    const [, last] = await Promise.all([harness.request('/run?a'), harness.request('/run?b')]);
    assert.equal(last?.text, 'ababab');
  } finally {
    await harness.close();
  }
});

test('httpd.sleep() refuses what is no time', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['-1', /seconds must not be negative/],
    ['0/0', /seconds must not be negative/],
    ['-math.huge', /seconds must not be negative/],
    ['86400.1', /86400 seconds at most/],
    ['math.huge', /86400 seconds at most/],
    ['{}', /number expected, got table/],
    ['nil', /number expected, got nil/],
    ['', /wrong number of arguments to 'sleep' \(1 expected, got 0\)/],
    ['1, 2', /wrong number of arguments to 'sleep' \(1 expected, got 2\)/],
  ];
  for (const [given, message] of cases)
    assert.match(await outputOf(`say(pcall(function() httpd.sleep(${given}) end))`), message);
});

test('httpd.sleep() works in pcall, metamethods, iterators and coroutines of the script', async () => {
  const output = await outputOf(`
    say(pcall(httpd.sleep, 0.001))
    local t = setmetatable({}, { __index = function(_, k) httpd.sleep(0.001) return k end })
    say(t.slept)
    local wrapped = coroutine.wrap(function() httpd.sleep(0.001) coroutine.yield('one') httpd.sleep(0) return 'two' end)
    say(wrapped(), wrapped())
    for i in function(_, i) httpd.sleep(0.001) if i < 2 then return i + 1 end end, nil, 0 do say(i) end`);
  assert.equal(output, 'true\nslept\none two\n1\n2\n');
});

test('httpd.sleep() raises where Lua cannot suspend, and outside of a request', async () => {
  assert.match(
    await outputOf(`say(pcall(table.sort, { 2, 1 }, function(a, b) httpd.sleep(0) return a < b end))`),
    /cannot sleep here: a yield cannot cross this call/,
  );
  await assert.rejects(ScriptHarness.load(`require 'httpd'.sleep(0)`), /'sleep' called outside of a request/);
});

test('httpd.sleep() ends with its client, and closes what is to be closed', async () => {
  const harness = await ScriptHarness.run(`
    local guard <close> = setmetatable({}, { __close = function() print('closed') end })
    httpd.sleep(80000)`);
  try {
    const exchanges = Array.from({ length: 50 }, () => harness.begin('/run'));
    for (const exchange of exchanges) exchange.abort();
    await harness.expectNothingOpen();
    assert.equal(harness.log.filter((line) => line.startsWith('info closed')).length, 50);
  } finally {
    await harness.close();
  }
});

test('httpd.sleep() costs no CPU time, but a silent handler still reaches its time limit', async () => {
  const harness = await ScriptHarness.load(`local httpd = require 'httpd'
    local function nap(count) for i = 1, count do httpd.sleep(0.02) end httpd.write(nil, 'done') end
    httpd.register_handler('/cpu', function() nap(10) end, { cpu = 0.05 })
    httpd.register_handler('/silent', function() nap(1000) end, { timeout = 0.2 })`);
  try {
    assert.equal((await harness.request('/cpu')).text, 'done');
    assert.equal((await harness.request('/silent')).status, 500);
    await eventually(() => assert.match(harness.log.join('\n'), /Time limit reached.*limit=time/s));
    await harness.expectNothingOpen();
  } finally {
    await harness.close();
  }
});

test('httpd.sleep() wakes a crowd without holding the event loop up', async () => {
  // each run computes for some milliseconds when it wakes
  const harness = await ScriptHarness.run(
    `httpd.sleep(0.05) for i = 1, 200000 do local _ = i * i end say('x')`,
  );
  try {
    const answers = Array.from({ length: 100 }, () => harness.output());
    await Promise.race(answers);
    let rounds = 0;
    let ended = false;
    const count = (): void => {
      rounds += 1;
      if (!ended) setImmediate(count);
    };
    count();
    await Promise.all(answers);
    ended = true;
    assert(rounds > 10, `the loop went round ${rounds} times while a hundred requests computed`);
  } finally {
    await harness.close();
  }
});
