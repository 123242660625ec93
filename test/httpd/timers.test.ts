/** httpd.timer: when functions run, limits and ends of timers, the life of their script, and many timers at once. */

import assert from 'node:assert/strict';
import { LuaMapping } from '../../src/script/lua-mapping.ts';
import { OnceRegistry } from '../../src/supervisor/once-registry.ts';
import { calmTest as test } from '../support/calm.ts';
import { LOSE_STATE } from '../support/lose-state.ts';
import { eventually, type HarnessOptions, ScriptHarness } from '../support/script-harness.ts';
import { outputOfBody } from '../support/shared-state.ts';

/** Limit of timers in one state. */
const TIMERS_MAX = 1000;

async function withTop(
  script: string,
  use: (harness: ScriptHarness) => Promise<void>,
  options: HarnessOptions = {},
): Promise<void> {
  const harness = await ScriptHarness.load(
    `httpd = require 'httpd' httpd.register_handler('/', function() end)\n${script}`,
    options,
  );
  try {
    await use(harness);
  } finally {
    await harness.close();
  }
  assert.equal(harness.counters.get('coroutines'), 0);
}

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

function linesOf(harness: ScriptHarness, word: string): number {
  return harness.log.filter((line) => line.startsWith(`info ${word}`)).length;
}

test('httpd.timer() runs a function once after its delay, outlives the request and leaves nothing', async () => {
  const harness = await ScriptHarness.run(`httpd.timer(0.05, function() print('ran', httpd.now() - began) end)
    began = httpd.now() say('answered')`);
  try {
    assert.equal(await harness.output(), 'answered\n');
    const references = harness.script.state.references;
    await eventually(() => assert.equal(linesOf(harness, 'ran'), 1));
    assert(Number(/ran\t([\d.]+)/.exec(harness.log.join())?.[1]) >= 0.048);
    await harness.expectNothingOpen();
    assert.equal(harness.script.state.references, references - 1);
  } finally {
    await harness.close();
  }
});

test('httpd.timer() started while a script is loaded runs when the script serves', async () => {
  await withTop(`httpd.timer(0, function() print('ran') end)`, async (harness) => {
    assert.equal(linesOf(harness, 'ran'), 0);
    await eventually(() => assert.equal(linesOf(harness, 'ran'), 1));
  });
});

test('A timer with "every" runs again and again until it is cancelled, inside its own function too', async () => {
  const output = await outputOf(`
    local count, timer, before, during, after = 0
    timer = httpd.timer(0, function()
      count = count + 1
      if count == 3 then during = timer:cancel() after = timer:cancel() httpd.sleep(0.01) finished = true end
    end, {every = 0.005})
    while not finished do httpd.sleep(0.005) end
    httpd.sleep(0.05)
    say(count, during, after, timer:cancel())`);
  assert.equal(output, '3 true false false\n');
});

test('timer:cancel() prevents a run that waits, and not one that has begun', async () => {
  const output = await outputOf(`
    local waiting = httpd.timer(1000, error)
    say(waiting:cancel(), waiting:cancel())
    local began, ended
    local running = httpd.timer(0, function() began = true httpd.sleep(0.02) ended = true end)
    while not began do httpd.sleep(0.001) end
    say(running:cancel())
    while not ended do httpd.sleep(0.001) end
    say((tostring(running):gsub('0x%x+', '0x')))`);
  assert.equal(output, 'true false\nfalse\nhttpd.timer: 0x\n');
});

test('Runs of one timer do not overlap: those that come too early are left out', async () => {
  const output = await outputOf(`
    local running, runs, most = 0, 0, 0
    local timer = httpd.timer(0, function()
      running = running + 1 runs = runs + 1 most = math.max(most, running)
      httpd.sleep(0.03)
      running = running - 1
    end, {every = 0.001})
    while runs < 4 do httpd.sleep(0.005) end
    timer:cancel()
    while running > 0 do httpd.sleep(0.005) end
    say(most)`);
  assert.equal(output, '1\n');
});

test('A timer has files, sleep and tasks, but no client', async () => {
  await withTop(
    `httpd.timer(0, function()
      local task = httpd.spawn(function()
        httpd.sleep(0.001)
        local file <close> = assert(io.open('written', 'w'))
        assert(file:write('by a task'))
        return 'value'
      end)
      print('task', select(3, httpd.wait(task)))
      for _, call in ipairs{'write', 'read', 'header', 'close', 'trailer', 'sendfile', 'copy', 'exit'} do
        local arguments = {header = {{status = 200}}, trailer = {{}}, sendfile = {'x'}, exit = {200}, write = {nil, 'x'}}
        local given = arguments[call] or {nil, nil}
        print('client', call, pcall(httpd[call], table.unpack(given, 1, (call == 'write' or call == 'copy') and 2 or 1)))
      end
      print('done')
    end)`,
    async (harness) => {
      await eventually(() => assert.equal(linesOf(harness, 'done'), 1));
      assert.equal(linesOf(harness, 'task\tvalue'), 1);
      assert.equal(harness.readFile('written'), 'by a task');
      const refusals = harness.log.filter((line) => line.startsWith('info client'));
      assert.equal(refusals.length, 8);
      for (const line of refusals) assert.match(line, /\tfalse\t.*called in a timer, which has no client/);
      // all log lines of a run have its id
      assert.match(harness.log[0] ?? '', / request=\w+-1-\w+$/);
      await harness.expectNothingOpen();
    },
  );
});

test('A program that a timer or its task has started ends with it', async () => {
  await withTop(
    `httpd.timer(0, function()
      pipe = io.popen('sleep 1000')
      httpd.wait(httpd.spawn(function() other = io.popen('sleep 1000') end))
      print('began')
    end)
    httpd.register_handler('/end', function() pipe:read('a') other:read('a') httpd.write(nil, 'ended') end)`,
    async (harness) => {
      await eventually(() => assert.equal(linesOf(harness, 'began'), 1));
      assert.equal((await harness.request('/end')).text, 'ended');
    },
  );
});

test('An error in a timer is logged with its id, and does not end a repeated one', async () => {
  await withTop(
    `local count = 0
    local timer
    timer = httpd.timer(0, function() count = count + 1 if count == 3 then timer:cancel() end error('broken') end, {every = 0.002})`,
    async (harness) => {
      await eventually(() => assert.equal(harness.log.filter((line) => line.includes('broken')).length, 3));
      assert.match(
        harness.log[0] ?? '',
        /^error Lua error: .*stack traceback.* request=\S+ mapping=\/ timer=1$/s,
      );
      await harness.expectNothingOpen();
    },
  );
});

test('Timers have limits of CPU time and of all their time, their own or those of handlers', async () => {
  const loop = 'function() while true do end end';
  await withTop(
    `httpd.timer(0, ${loop}, {timeout = 0}) httpd.timer(0, ${loop}, {cpu = 0.02, timeout = 0})
    httpd.timer(0, function() httpd.sleep(1000) end) httpd.timer(0, function() httpd.spawn(httpd.sleep, 1000) end, {timeout = 0.05})
    httpd.timer(0, function() httpd.sleep(0.3) print('survived') end, {timeout = 0})`,
    async (harness) => {
      await eventually(() => assert.equal(harness.log.length, 5));
      const log = harness.log.join('\n');
      assert.match(log, /CPU limit reached.*limit=cpu limitMs=50 /s);
      assert.match(log, /CPU limit reached.*limit=cpu limitMs=20 /s);
      assert.match(log, /Time limit reached: the timer still runs.*limit=time limitMs=150 /s);
      assert.match(log, /Time limit reached: the timer still runs.*limit=time limitMs=50 /s);
      assert.match(log, /info survived/);
      await harness.expectNothingOpen();
    },
    { limits: { cpuLimitMs: 50, timeLimitMs: 150 } },
  );
});

test('httpd.timer() refuses what is misuse', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['1', /wrong number of arguments to 'timer' \(2 or 3 expected, got 1\)/],
    ['-1, print', /seconds must not be negative/],
    ['0/0, print', /seconds must not be negative/],
    ['86401, print', /86400 seconds at most/],
    ['0, "x"', /function expected, got string/],
    ['0, print, 1', /table expected, got number/],
    ['0, print, {every = 0}', /option "every" has to be a number of seconds from 0.001 to 86400/],
    ['0, print, {every = -1}', /option "every"/],
    ['0, print, {every = 0/0}', /option "every"/],
    ['0, print, {every = math.huge}', /option "every"/],
    ['0, print, {every = true}', /option "every"/],
    ['0, print, {once = ""}', /option "once" has to be a name of 1 to 64 bytes/],
    ['0, print, {once = ("x"):rep(65)}', /option "once" has to be a name of 1 to 64 bytes/],
    ['0, print, {once = 1}', /option "once" is a number \(a string was expected\)/],
    ['0, print, {cpu = -1}', /option "cpu" has to be a number of seconds, 0 or more/],
    ['0, print, {timeout = "1"}', /option "timeout" has to be a number of seconds, 0 or more/],
    ['0, print, {evry = 1}', /timer has no option "evry"/],
  ];
  for (const [given, message] of cases)
    assert.match(await outputOfBody(`say(pcall(function() httpd.timer(${given}) end))`), message);
  assert.match(
    await outputOf(`local timer = httpd.timer(1000, print)
      say(pcall(timer.cancel, io.stdout)) say(pcall(timer.cancel)) timer:cancel()`),
    /httpd.timer expected, got FILE\*\)\nfalse .*httpd.timer expected, got no value/,
  );
});

test('A storm of timers is bounded, goes on when there is room, and lets requests through', async () => {
  const harness = await ScriptHarness.run(`
    if env.QUERY_INFO == 'storm' then
      local function storm() httpd.timer(0, storm) httpd.timer(0, storm) end
      for i = 1, 50 do storm() end
    elseif env.QUERY_INFO == 'many' then
      local timers, refused = {}
      for i = 1, 5000 do
        local timer, message, code = httpd.timer(1000, print)
        if timer then timers[#timers + 1] = timer else refused = code .. ': ' .. message end
      end
      say(#timers, refused)
      for _, timer in ipairs(timers) do timer:cancel() end
      say(httpd.timer(1000, print):cancel())
    else say('other') end`);
  try {
    assert.equal(
      (await harness.request('/run?many')).text,
      `${TIMERS_MAX} limit: Cannot start a timer: ${TIMERS_MAX} wait or run and the limit is ${TIMERS_MAX}\ntrue\n`,
    );
    await harness.request('/run?storm');
    for (let i = 0; i < 50; i++) assert.equal((await harness.request('/run')).text, 'other\n');
  } finally {
    await harness.close();
  }
  assert.equal(harness.counters.get('coroutines'), 0);
});

test('Timers that nobody holds run all the same', async () => {
  const output = await outputOf(`
    local count = 0
    for i = 1, 100 do httpd.timer(0.01, function() count = count + 1 end) end
    collectgarbage() collectgarbage()
    while count < 100 do httpd.sleep(0.005) end
    say(count)`);
  assert.equal(output, '100\n');
});

test('Closing a script ends its timers, running ones with what they have to close', async () => {
  const harness = await ScriptHarness.load(`local httpd = require 'httpd'
    httpd.timer(0, function()
      local guard <close> = setmetatable({}, {__close = function() print('closed') end})
      print('began') httpd.sleep(1000)
    end)
    httpd.timer(3600, function() end)`);
  await eventually(() => assert.equal(linesOf(harness, 'began'), 1));
  assert.equal(harness.script.timers.count, 2);
  await harness.close();
  assert.equal(linesOf(harness, 'closed'), 1);
  assert.equal(harness.script.timers.count, 0);
  assert.equal(harness.counters.get('coroutines'), 0);
});

// ---- mappings --------------------------------------------------------------------------------------------------------

async function withMapping(
  source: string,
  use: (mapping: LuaMapping, harness: ScriptHarness) => Promise<void>,
): Promise<void> {
  const harness = await ScriptHarness.load('', { mode: 'lhttpd' });
  harness.log.length = 0;
  harness.writeFile('timers.lua', `httpd = require 'httpd'\n${source}`);
  const mapping = new LuaMapping(harness.optionsOf('timers.lua', { limits: { cpuLimitMs: 100 } }));
  try {
    await mapping.load();
    harness.dispatcher.router.replace([mapping]);
    await use(mapping, harness);
  } finally {
    mapping.close();
    await harness.close();
  }
  assert.equal(harness.counters.get('coroutines'), 0);
}

test('Timers of a mapping that was only prepared do not run', async () => {
  await withMapping(`httpd.timer(0, function() print('ran') end)`, async (mapping, harness) => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(linesOf(harness, 'ran'), 0);
    mapping.serve();
    await eventually(() => assert.equal(linesOf(harness, 'ran'), 1));
  });
});

test('LuaMapping.retire() cancels timers that wait and lets those that run end', async () => {
  await withMapping(
    `httpd.timer(0, function()
      local timer, message, code
      repeat
        httpd.sleep(0.01)
        timer, message, code = httpd.timer(3600, print)
        if timer then timer:cancel() end
      until code
      print('ended', code)
    end)
    httpd.timer(0.01, function() print('tick') end, {every = 1000})
    httpd.timer(1000, print)`,
    async (mapping, harness) => {
      mapping.serve();
      await eventually(() => assert.equal(linesOf(harness, 'tick'), 1));
      await mapping.retire(10_000);
      assert.equal(linesOf(harness, 'ended\tclosed'), 1);
      assert.equal(linesOf(harness, 'tick'), 1);
    },
  );
});

test('LuaMapping.retire() does not wait for ever for a timer that runs', async () => {
  await withMapping(
    `httpd.timer(0, function() print('began') while true do httpd.sleep(0.01) end end)`,
    async (mapping, harness) => {
      mapping.serve();
      await eventually(() => assert.equal(linesOf(harness, 'began'), 1));
      const started = performance.now();
      await mapping.retire(50);
      assert(performance.now() - started >= 45);
      assert.match(
        harness.log.join('\n'),
        /warn Timer ended: its script has been replaced mapping=\/ timer=1/,
      );
    },
  );
});

test('A timer that costs its state is held back in the next one', async () => {
  await withMapping(
    `print('loaded')
    httpd.register_handler('/', function() httpd.write(nil, 'served') end)
    httpd.timer(0, function() ${LOSE_STATE} end)`,
    async (mapping, harness) => {
      mapping.serve();
      await eventually(() => assert.equal(linesOf(harness, 'loaded'), 2));
      assert.match(harness.log.join('\n'), /error Lua error: CPU limit reached.*limit=cpu/s);
      for (let i = 0; i < 20; i++) assert.equal((await harness.request('/')).text, 'served');
      assert.equal(linesOf(harness, 'loaded'), 2);
    },
  );
});

// ---- once ------------------------------------------------------------------------------------------------------------

test('A timer with "once" runs in one of several workers each time, and in another when that one is gone', async () => {
  const once = new OnceRegistry();
  const source = `local httpd = require 'httpd'
    httpd.timer(0, function() print('first') end, {once = 'first'})
    httpd.timer(0.01, function() print('tick') httpd.sleep(0.005) end, {every = 0.05, once = 'tick'})`;
  const workers: ScriptHarness[] = [];
  const count = (word: string): number => workers.reduce((sum, worker) => sum + linesOf(worker, word), 0);
  try {
    for (const workerId of [1, 2, 3])
      workers.push(await ScriptHarness.load(source, { workerId, workerCount: 3, once }));
    const started = performance.now();
    await eventually(() => assert(count('tick') >= 4));
    const [gone] = workers.filter((worker) => linesOf(worker, 'tick') > 0);
    assert(gone !== undefined);
    await gone.close();
    once.workerGone(workers.indexOf(gone) + 1);
    const before = count('tick');
    await eventually(() => assert(count('tick') >= before + 4));
    // at most one run in each period, and some more because a worker is lost meanwhile
    assert(count('tick') <= (performance.now() - started) / 45 + 4, `${count('tick')} runs`);
    assert.equal(count('first'), 1);
  } finally {
    for (const worker of workers) await worker.close();
  }
});

test('A timer with "once" that is cancelled while it asks leaves the run to others', async () => {
  const once = new OnceRegistry();
  const harness = await ScriptHarness.run(
    `local timer = httpd.timer(0, print, {once = 'x'}) httpd.sleep(0.002) timer:cancel() say('x')`,
    { once },
  );
  try {
    for (let i = 0; i < 5; i++) await harness.output();
    await harness.expectNothingOpen();
    assert.equal(
      once.claim(2, 1, { name: 'x', generation: 0, waitMs: 1000 }, performance.now() + 2000),
      true,
    );
  } finally {
    await harness.close();
  }
});
