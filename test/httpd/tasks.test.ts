/** httpd.spawn, wait and kill: their results, who may wait for a task, how tasks end, and attacks. */
import assert from 'node:assert/strict';
import { calmTest as test } from '../support/calm.ts';
import { eventually, type HarnessOptions, ScriptHarness } from '../support/script-harness.ts';
import { PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

/** Limit of tasks in one run. */
const TASKS_MAX = 256;

async function withScript(
  body: string,
  use: (harness: ScriptHarness) => Promise<void>,
  options: HarnessOptions = {},
): Promise<void> {
  const harness = await ScriptHarness.run(body, options);
  try {
    await use(harness);
    await harness.expectNothingOpen();
  } finally {
    await harness.close();
  }
}

async function outputOf(body: string): Promise<string> {
  let output = '';
  await withScript(body, async (harness) => {
    output = await harness.output();
  });
  return output;
}

test('httpd.spawn() begins a task when the one who spawned it waits, with its arguments', async () => {
  const output = await outputOf(`
    local task = httpd.spawn(function(...) say('task', ...) end, 1, nil, 'x', nil)
    say('handler', (tostring(task):gsub('0x%x+', '0x')))
    httpd.wait(task)
    say('end')`);
  assert.equal(output, 'handler httpd.task: 0x\ntask 1 nil x nil\nend\n');
});

test('httpd.wait() gives the first task that has ended with all its results', async () => {
  const output = await outputOf(`
    local function nap(seconds, ...) httpd.sleep(seconds) return seconds, ... end
    local told = false
    local slow = httpd.spawn(function()
      while not told do httpd.sleep(0.01) end
      return 'slow', 1
    end)
    local fast = httpd.spawn(nap, 0.02, nil, 'fast', nil)
    local t = table.pack(httpd.wait(slow, fast))
    told = true
    say(t.n, t[1] == fast, t[2], t[3], t[4], t[5], t[6])
    say(select('#', httpd.wait(slow)), select(3, httpd.wait(slow)))
    -- a task that has ended can be waited for again
    say(select(2, httpd.wait(fast, slow)))`);
  assert.equal(output, '6 true true 0.02 nil fast nil\n4 slow 1\ntrue 0.02 nil fast nil\n');
});

test('httpd.wait() gives false and the message of a task that failed, which the log has with the request', async () => {
  await withScript(
    `say(env.REQUEST_ID)
    local task = httpd.spawn(function() httpd.sleep(0) error('broken') end)
    say(select(2, httpd.wait(task)))
    say(select(2, httpd.wait(httpd.spawn(function() error({}) end))))
    say(select(2, httpd.wait(httpd.spawn(function() return nil, 'message', 'code' end))))`,
    async (harness) => {
      const [id, ...lines] = (await harness.output()).trimEnd().split('\n');
      assert.match(lines[0] ?? '', /^false script\.lua:\d+: broken$/);
      assert.equal(lines[1], 'false (error object is a table value)');
      assert.equal(lines[2], 'true nil message code');
      const logged = harness.log.find((line) => line.includes('broken')) ?? '';
      assert.match(logged, /stack traceback:/);
      assert(logged.includes(`request=${id} `), logged);
    },
  );
});

test('A failed task leaves the request to the others', async () => {
  await withScript(
    `httpd.spawn(function() error('alone') end) httpd.sleep(0.02) say('fine')`,
    async (harness) => {
      assert.equal(await harness.output(), 'fine\n');
      assert.match(harness.log.join('\n'), /Lua error: script\.lua:\d+: alone/);
    },
  );
});

test('The response ends when the handler and all its tasks have ended', async () => {
  const output = await outputOf(`
    httpd.spawn(function()
      httpd.sleep(0.03) say('first')
      httpd.spawn(function() httpd.sleep(0.03) say('second') end)
    end)
    say('handler')`);
  assert.equal(output, 'handler\nfirst\nsecond\n');
});

test('A handler that returns without a head gets that of its tasks, or 500 when they send nothing', async () => {
  await withScript(
    `if env.QUERY_INFO then httpd.spawn(function() httpd.sleep(0.01) httpd.header{status = 201} end)
    else httpd.spawn(httpd.sleep, 0.01) end`,
    async (harness) => {
      assert.equal((await harness.request('/run?x')).status, 201);
      assert.equal((await harness.request('/run')).status, 500);
      assert.match(harness.log.join('\n'), /Handler sent nothing/);
    },
  );
});

test('A handler that fails ends its tasks', async () => {
  await withScript(
    `httpd.spawn(function()
      local guard <close> = setmetatable({}, {__close = function() print('closed') end})
      httpd.sleep(1000)
    end)
    httpd.sleep(0) error('over')`,
    async (harness) => {
      assert.equal((await harness.request('/run')).status, 500);
      assert(harness.log.some((line) => line.startsWith('info closed')));
    },
  );
});

test('Tasks end with their client, before they begin and while they wait', async () => {
  await withScript(
    `for i = 1, 5 do httpd.spawn(function()
      local guard <close> = setmetatable({}, {__close = function() print('closed') end})
      print('open') httpd.read(nil, 100)
    end) end
    if env.QUERY_INFO then httpd.sleep(1000) end`,
    async (harness) => {
      const early = harness.begin('/run', { body: 'open' });
      early.abort();
      await harness.expectNothingOpen();
      assert.equal(harness.log.length, 1);
      const lines = (text: string): number => harness.log.filter((line) => line.includes(text)).length;
      for (const target of ['/run', '/run?x']) {
        const opened = lines('open') + 5;
        const exchange = harness.begin(target, { body: 'open' });
        await eventually(() => assert.equal(lines('open'), opened));
        exchange.abort();
        await harness.expectNothingOpen();
      }
      assert.equal(harness.log.filter((line) => line.startsWith('info closed')).length, 10);
    },
  );
});

test('Tasks and handler share one budget of CPU time, and its end is that of all', async () => {
  await withScript(
    `local function burn() local x = 0 for i = 1, 3e6 do x = x + i % 7 end end
    local tasks = {}
    for i = 1, 100 do tasks[i] = httpd.spawn(burn) end
    for i = 1, 100 do httpd.wait(tasks[i]) end
    say('not reached')`,
    async (harness) => {
      assert.equal((await harness.request('/run')).status, 500);
      assert.match(harness.log.join('\n'), /CPU limit reached.*limit=cpu limitMs=100 /s);
    },
    { limits: { cpuLimitMs: 100 } },
  );
});

test('A silent handler that waits for its tasks reaches its time limit', async () => {
  await withScript(
    `httpd.spawn(httpd.sleep, 1000)`,
    async (harness) => {
      assert.equal((await harness.request('/run')).status, 500);
      assert.match(harness.log.join('\n'), /Time limit reached/);
    },
    { limits: { timeLimitMs: 150 } },
  );
});

test('httpd.spawn() refuses what is too much, and goes on when there is room again', async () => {
  const output = await outputOf(`
    local tasks, refused = {}
    for i = 1, 5000 do
      local task, message, code = httpd.spawn(httpd.sleep, 1000)
      if task then tasks[#tasks + 1] = task else refused = code .. ': ' .. message end
    end
    say(#tasks, refused)
    say(httpd.kill(tasks[1]), httpd.kill(tasks[1]))
    say(type(httpd.spawn(httpd.sleep, 1000)), (httpd.spawn(httpd.sleep, 1000)))
    httpd.exit()`);
  assert.equal(
    output,
    `${TASKS_MAX} limit: Cannot spawn: ${TASKS_MAX} tasks run and the limit is ${TASKS_MAX}\ntrue false\nuserdata nil\n`,
  );
});

test('Thousands of tasks, one after the other and each from the last, leave nothing behind', async () => {
  await withScript(
    `local count = 0
    for round = 1, 20 do
      for i = 1, 200 do assert(httpd.spawn(function(...) count = count + 1 return ... end, string.rep('x', 1000))) end
      httpd.sleep(0.001)
    end
    local function chain(left) count = count + 1 if left > 0 then httpd.spawn(chain, left - 1) end end
    httpd.wait(httpd.spawn(chain, 2000))
    while count < 6001 do httpd.sleep(0.01) end
    say(count)`,
    async (harness) => {
      const before = harness.luaHeapKiB();
      for (let i = 0; i < 3; i++) assert.equal(await harness.output(), '6001\n');
      await harness.expectNothingOpen();
      assert(harness.luaHeapKiB() - before < 400, `${harness.luaHeapKiB() - before} KiB more`);
    },
  );
});

test('A chain of spawns without an end lets others work, and ends with its client', async () => {
  await withScript(
    `if env.QUERY_INFO then return say('other') end
    local function chain() httpd.spawn(chain) end
    chain()`,
    async (harness) => {
      const endless = harness.begin('/run');
      for (let i = 0; i < 20; i++) assert.equal((await harness.request('/run?x')).text, 'other\n');
      endless.abort();
    },
  );
});

test('httpd.kill() ends a task that waits in a read, with what it has to close', async () => {
  await withScript(
    `local task = httpd.spawn(function()
      local guard <close> = setmetatable({}, {__close = function() say('closed') end})
      httpd.read(nil, 10)
      say('not reached')
    end)
    httpd.sleep(0.01)
    say(httpd.kill(task), select(2, httpd.wait(task)))
    say(httpd.read(nil, 4))`,
    async (harness) => {
      const exchange = harness.begin('/run', { body: 'open' });
      await eventually(() => assert.match(exchange.text, /closed\ntrue false killed\n/));
      exchange.body.supply('abcd');
      await exchange.closed;
      assert.equal(exchange.text, 'closed\ntrue false killed\nabcd\n');
    },
  );
});

test('httpd.kill() ends a task that never began, and one that sleeps inside a coroutine of its own', async () => {
  const output = await outputOf(`
    local function guarded()
      local guard <close> = setmetatable({}, {__close = function() say('closed') end})
      httpd.sleep(1000)
    end
    local early = httpd.spawn(guarded)
    say(httpd.kill(early), select(2, httpd.wait(early)))
    local inner = httpd.spawn(function() coroutine.wrap(guarded)() end)
    httpd.sleep(0.01)
    say(httpd.kill(inner), select(2, httpd.wait(inner)))`);
  assert.equal(output, 'true false killed\nclosed\ntrue false killed\n');
});

test('A task can kill itself, and those that wait for it hear of it', async () => {
  const output = await outputOf(`
    local task
    task = httpd.spawn(function()
      local guard <close> = setmetatable({}, {__close = function() say('closed') end})
      say(pcall(httpd.kill, task))
      say('not reached')
    end)
    say(select(2, httpd.wait(task)))
    task = httpd.spawn(function()
      say(pcall(table.sort, {2, 1}, function() httpd.kill(task) end))
    end)
    say(select(2, httpd.wait(task)))`);
  assert.match(
    output,
    /^closed\nfalse killed\nfalse .*a task cannot end here: a yield cannot cross this call\ntrue\n$/,
  );
});

test('A task may be killed by what another closes, and kill again there', async () => {
  const output = await outputOf(`
    local a, b
    a = httpd.spawn(function()
      local guard <close> = setmetatable({}, {__close = function() say('a', httpd.kill(b), httpd.kill(a)) end})
      httpd.sleep(1000)
    end)
    b = httpd.spawn(function()
      local guard <close> = setmetatable({}, {__close = function() say('b', httpd.kill(a), httpd.kill(b)) error('lost') end})
      httpd.sleep(1000)
    end)
    httpd.sleep(0.01)
    say(httpd.kill(a))`);
  assert.equal(output, 'b false false\na true false\ntrue\n');
});

test('httpd.wait() refuses a task that waits for itself, and cycles end with the request', async () => {
  await withScript(
    `local own
    own = httpd.spawn(function() say(pcall(httpd.wait, own)) end)
    httpd.wait(own)
    local a, b
    a = httpd.spawn(function() httpd.wait(b) end)
    b = httpd.spawn(function() httpd.wait(a) end)
    httpd.wait(a)`,
    async (harness) => {
      const exchange = harness.begin('/run');
      await eventually(() => assert.match(exchange.text, /^false .*a task cannot wait for itself\n$/));
      exchange.abort();
    },
  );
});

test('The numbers of results and of tasks in one wait are bounded', async () => {
  const output = await outputOf(`
    local function give(n) return table.unpack({}, 1, n) end
    local enough, many = httpd.spawn(give, 1000), httpd.spawn(give, 1001)
    say(select('#', httpd.wait(enough)), select(2, httpd.wait(many)))
    local tasks = {}
    for i = 1, 257 do tasks[i] = enough end
    say(pcall(httpd.wait, table.unpack(tasks)))
    say(select(2, httpd.wait(table.unpack(tasks, 2))))`);
  assert.match(
    output,
    /^1002 false Task returned 1001 values and the limit is 1000\nfalse .*\(1 to 256 expected, got 257\)\ntrue nil/,
  );
});

test('Many may wait for one task, and one task for many', async () => {
  const output = await outputOf(`
    local source = httpd.spawn(function() httpd.sleep(0.02) return 'value' end)
    local readers = {}
    for i = 1, 50 do readers[i] = httpd.spawn(function() return (select(3, httpd.wait(source))) end) end
    local seen = 0
    while #readers > 0 do
      local task, ok, value = httpd.wait(table.unpack(readers))
      assert(ok and value == 'value')
      for i = #readers, 1, -1 do if readers[i] == task then table.remove(readers, i) seen = seen + 1 end end
    end
    say(seen)`);
  assert.equal(output, '50\n');
});

test('Tasks of another request can be neither awaited nor killed', async () => {
  await withScript(
    `if env.QUERY_INFO == 'a' then
      shared = httpd.spawn(function() while not tried do httpd.sleep(0.01) end end)
      finished = httpd.spawn(function() return 1 end)
      httpd.wait(finished)
      httpd.write(nil, 'a')
      httpd.wait(shared)
    else
      for _, task in ipairs{shared, finished} do
        say(select(2, pcall(httpd.wait, task)))
        say(select(2, pcall(httpd.kill, task)))
      end
      tried = true
    end`,
    async (harness) => {
      const first = harness.begin('/run?a');
      await eventually(() => assert.equal(first.text, 'a'));
      const lines = (await harness.request('/run?b')).text.trimEnd().split('\n');
      assert.equal(lines.length, 4);
      for (const line of lines) assert.match(line, /task of another request or timer/);
      await first.closed;
    },
  );
});

test('Nothing but a task passes for one', async () => {
  const output = await outputOf(`
    local task, timer = httpd.spawn(function() end), httpd.timer(0, function() end)
    local file = assert(io.tmpfile())
    local files = debug.getmetatable(file)
    debug.setmetatable(file, debug.getmetatable(task))
    for _, value in ipairs{1, 'x', {}, setmetatable({}, debug.getmetatable(task)), print, coroutine.create(print), file, timer} do
      assert(not pcall(httpd.wait, value)) assert(not pcall(httpd.wait, task, value)) assert(not pcall(httpd.kill, value))
    end
    say(select(2, pcall(httpd.wait, file)))
    say(select(2, pcall(httpd.wait)))
    say(select(2, pcall(httpd.spawn)))
    say(select(2, pcall(httpd.spawn, setmetatable({}, {__call = print}))))
    debug.setmetatable(file, files) file:close()
    debug.setmetatable(task, files)
    say(select(2, pcall(task.read, task)))
    say(getmetatable(timer))`);
  assert.deepEqual(
    output
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/^script\.lua:\d+: /, '')),
    [
      "bad argument #1 to 'httpd.wait' (httpd.task expected, got httpd.task)",
      "wrong number of arguments to 'wait' (1 to 256 expected, got 0)",
      "bad argument #1 to 'httpd.spawn' (function expected, got no value)",
      "bad argument #1 to 'httpd.spawn' (function expected, got table)",
      'attempt to use a closed file',
      'httpd.timer',
    ],
  );
});

test('httpd.wait() raises where Lua cannot suspend, unless the task has ended', async () => {
  const output = await outputOf(`
    local slow, done = httpd.spawn(httpd.sleep, 600), httpd.spawn(function() return 7 end)
    httpd.wait(done)
    local function compare() say(select(2, httpd.wait(slow, done))) say(pcall(httpd.wait, slow)) return false end
    table.sort({1, 2}, compare)
    httpd.kill(slow)`);
  assert.match(output, /^true 7\nfalse .*cannot wait for a task here: a yield cannot cross this call\n$/);
});

test('The calls for tasks raise while a script is loaded', async () => {
  for (const call of ['spawn(print)', 'wait(1)', 'kill(1)'])
    await assert.rejects(
      ScriptHarness.load(`require 'httpd'.${call}`),
      /'(?:spawn|wait|kill)' called outside of a request or timer/,
    );
});

test('Tasks read and write one client, slow or not, and no wake is lost', async () => {
  await withScript(
    `local function speak(name) for i = 1, 40 do httpd.write(nil, name:rep(1000)) end end
    local tasks = {}
    for i = 1, 8 do tasks[i] = httpd.spawn(speak, tostring(i)) end
    local bytes = 0
    for i = 1, 3 do httpd.spawn(function()
      repeat local part = httpd.read(nil, 7) bytes = bytes + #(part or '') until not part
      print('bytes', bytes)
    end) end`,
    async (harness) => {
      const exchange = harness.begin('/run', { body: 'open', roomBytes: 3000 });
      for (let i = 0; i < 20; i++) {
        exchange.body.supply('0123456789');
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      exchange.body.finish();
      await exchange.closed;
      assert.equal(exchange.text.length, 8 * 40 * 1000);
      assert(harness.log.some((line) => line.startsWith('info bytes\t200')));
    },
  );
});

for (const protocol of PROTOCOLS) {
  test(`Tasks share a client over ${protocol} that is slow to send and slow to read`, async () => {
    const gateway = await TestGateway.start({
      '/': `local httpd = require 'httpd'
        httpd.register_handler('/run', function()
          local bytes, readers = 0, {}
          for i = 1, 3 do readers[i] = httpd.spawn(function()
            while true do
              local part = httpd.read(nil, 100 * i)
              if not part then break end
              bytes = bytes + #part
            end
          end) end
          for i = 1, 6 do httpd.spawn(function()
            for j = 1, 10 do httpd.write(nil, string.char(96 + i):rep(50000)) end
          end) end
          for i = 1, 3 do httpd.wait(readers[i]) end
          httpd.write(nil, 'read ' .. bytes)
        end)`,
    });
    try {
      const answer = await gateway.ask(protocol, '/run', { method: 'POST', body: Buffer.alloc(300_000, 1) });
      assert.equal(answer.status, 200);
      assert.equal(answer.cut, false);
      assert.equal(answer.text.match(/read \d+/)?.[0], 'read 300000');
      assert.equal(answer.text.length, 6 * 10 * 50_000 + 'read 300000'.length);
      await gateway.untilIdle();
    } finally {
      await gateway.stop();
    }
  });
}

test('A task that is ended by its run cannot spawn another from what it closes', async () => {
  await withScript(
    `httpd.spawn(function()
      local guard <close> = setmetatable({}, {__close = function() print(httpd.spawn(print)) end})
      httpd.sleep(1000)
    end)
    httpd.sleep(0.01)
    httpd.exit(204)`,
    async (harness) => {
      assert.equal((await harness.request('/run')).status, 204);
      assert.match(harness.log.join('\n'), /nil\tCannot spawn: the request has ended\tclosed/);
    },
  );
});

test('What hundreds of tasks close takes no longer than what one may', async () => {
  await withScript(
    `for i = 1, 200 do httpd.spawn(function()
      local guard <close> = setmetatable({}, {__close = function() while true do end end})
      httpd.sleep(1000)
    end) end
    httpd.sleep(0.05)
    httpd.exit(204)`,
    async (harness) => {
      const started = performance.now();
      assert.equal((await harness.request('/run')).status, 204);
      assert(performance.now() - started < 20_000);
    },
  );
});

test('Handlers that kill tasks with long endings pay for them', async () => {
  await withScript(
    `for i = 1, 100 do
      local task = httpd.spawn(function()
        local guard <close> = setmetatable({}, {__close = function() while true do end end})
        httpd.sleep(1000)
      end)
      httpd.sleep(0)
      httpd.kill(task)
    end
    say('not reached')`,
    async (harness) => {
      const exchange = await harness.request('/run');
      assert.equal(exchange.status, 500);
      assert.match(harness.log.join('\n'), /CPU limit reached/);
    },
    { limits: { cpuLimitMs: 300 } },
  );
});

test('A handler that computes while its client goes ends at its next write', async () => {
  await withScript(
    `local x = 0 for i = 1, 2e7 do x = x + i end
    httpd.write(nil, 'x') httpd.write(nil, 'y') print('not reached')`,
    async (harness) => {
      const exchange = harness.begin('/run');
      await new Promise((resolve) => setImmediate(resolve));
      exchange.abort();
      await harness.expectNothingOpen();
      assert.deepEqual(
        harness.log.filter((line) => line.includes('not reached')),
        [],
      );
    },
  );
});
