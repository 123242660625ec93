import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LuaWorld, type Run } from '../support/lua-world.ts';

/** Starts `source`, answers every wait with its name in capitals, and returns the results. */
function finish(world: LuaWorld, source: string): string[] {
  const run = world.run(source);
  world.wakeAll();
  assert.equal(run.outcome, 'finished', run.message);
  return run.results;
}

test('CoroutineScheduler.start() tells the results of a function that does not wait', async () => {
  const world = await LuaWorld.create();
  assert.deepEqual(world.evaluate('return 1, "two", nil'), ['1', 'two', 'nil']);
  assert.equal(world.scheduler.active, 0);
});

test('CoroutineScheduler.start() tells an error with its traceback', async () => {
  const world = await LuaWorld.create();
  const run = world.run('local function inner() error("oops") end inner()');
  assert.equal(run.outcome, 'failed');
  assert.match(run.message, /^test:1: oops\nstack traceback:\n(.*\n)*\ttest:1: in .*'inner'/);
  assert.equal(world.scheduler.active, 0);
});

test('A coroutine can wait thousands of times in one host call and in many', async () => {
  const world = await LuaWorld.create();
  const run = world.run('local n = 0 for i = 1, 5000 do n = n + #wait() end return n');
  while (run.outcome === 'suspended') world.wake('ab');
  assert.deepEqual(run.results, ['10000']);
});

test('A host function that waits again and again keeps its stack', async () => {
  const world = await LuaWorld.create();
  const { state, scheduler } = world;
  const tops: number[] = [];
  const wakes: (() => void)[] = [];
  const waitOften = (L: Parameters<typeof state.pop>[0], left: number): number => {
    tops.push(state.exports.lua_gettop(L));
    if (left === 0) return 0;
    wakes.push(scheduler.running.goOn);
    return scheduler.running.wait(
      L,
      (T) => waitOften(T, left - 1),
      () => undefined,
    );
  };
  const { often } = state.addFunctions({ often: (L) => waitOften(L, 300) });
  state.exports.lua_pushcclosure(state.mainThread, often, 0);
  state.exports.lua_setglobal(state.mainThread, state.memory.constant('often'));
  for (const source of [
    'often(1, 2)',
    'coroutine.wrap(often)(1, 2)',
    'coroutine.resume(coroutine.create(often), 1, 2)',
  ]) {
    tops.length = 0;
    const run = world.run(`${source} return 'done'`);
    while (wakes.length > 0) wakes.shift()?.();
    assert.deepEqual(run.results, ['done'], run.message);
    assert.deepEqual([tops.length, Math.max(...tops)], [301, 2], source);
  }
});

test('Threads are used again, and not while a script still knows them', async () => {
  const world = await LuaWorld.create();
  const threads = new Set<number>();
  for (let i = 0; i < 100; i++) {
    const run = world.run('wait()');
    threads.add(run.coroutine?.thread as number);
    world.wake();
  }
  assert.equal(threads.size, 1);
  const kept = world.run('KNOWN = coroutine.running() wait()');
  const thread = kept.coroutine?.thread;
  world.wake();
  const next = world.run('wait() return KNOWN == coroutine.running(), coroutine.status(KNOWN)');
  assert.notEqual(next.coroutine?.thread, thread);
  world.wake();
  assert.deepEqual(next.results, ['false', 'dead']);
});

test('Hundreds of coroutines wait at once and are woken in any order', async () => {
  const world = await LuaWorld.create();
  const runs: Run[] = [];
  for (let i = 0; i < 500; i++) runs.push(world.run(`local a = wait('${i}') return a .. ${i}`));
  assert.equal(world.scheduler.active, 500);
  for (let i = world.waits.length - 1; i >= 0; i -= 2) world.waits.splice(i, 1)[0]?.wake('x');
  while (world.waits.length > 0) world.wake('y');
  runs.forEach((run, i) => {
    assert.match(run.results[0] ?? '', new RegExp(`^[xy]${i}$`));
  });
  assert.equal(world.scheduler.active, 0);
});

test('Waits pass through pcall, xpcall and their errors', async () => {
  const world = await LuaWorld.create();
  assert.deepEqual(
    finish(world, `return pcall(function() local a = wait('a') error(a .. wait('b'), 0) end)`),
    ['false', 'AB'],
  );
  assert.deepEqual(finish(world, `return xpcall(function(...) return wait('a'), ... end, print, 1, 2)`), [
    'true',
    'A',
    '1',
    '2',
  ]);
  assert.deepEqual(
    finish(
      world,
      `return xpcall(function() wait('a') error('e', 0) end, function(m) return m .. wait('b') end)`,
    ),
    ['false', 'ecannot wait'],
  );
});

test('Waits pass through metamethods', async () => {
  const world = await LuaWorld.create();
  const events = [
    '__index',
    '__add',
    '__concat',
    '__lt',
    '__le',
    '__eq',
    '__len',
    '__call',
    '__unm',
    '__bnot',
    '__shl',
  ];
  const results = finish(
    world,
    `local mt = {}
    for e in ('${events.join(' ')}'):gmatch('%S+') do mt[e] = function() return wait(e) end end
    mt.__newindex = function(t, k, v) rawset(t, k, v .. wait('new')) end
    local t, u = setmetatable({}, mt), setmetatable({}, mt)
    t.set = 'v'
    return t.set, t.x, t + 1, 1 + t, t .. 'x', 'x' .. t, t < u, t <= u, t == u, t ~= u, #t, t(1), -t, ~t, t << 1`,
  );
  assert.deepEqual(results, [
    'vNEW',
    '__INDEX',
    '__ADD',
    '__ADD',
    '__CONCAT',
    '__CONCAT',
    'true',
    'true',
    'true',
    'false',
    '__LEN',
    '__CALL',
    '__UNM',
    '__BNOT',
    '__SHL',
  ]);
});

test('Waits pass through iterators and __close', async () => {
  const world = await LuaWorld.create();
  assert.deepEqual(
    finish(
      world,
      `local out = {}
      local function each(_, i) if i < 3 then return i + 1, wait('i') end end
      for i, v in each, nil, 0, setmetatable({}, {__close = function() out[#out + 1] = wait('closed') end}) do out[#out + 1] = i .. v end
      do local c <close> = setmetatable({}, {__close = function(_, e) out[#out + 1] = wait('local') end}) end
      return table.concat(out, ' ')`,
    ),
    ['1I 2I 3I CLOSED LOCAL'],
  );
});

test("Waits pass through the script's own coroutines, however deep", async () => {
  const world = await LuaWorld.create();
  assert.deepEqual(
    finish(
      world,
      `local f = coroutine.wrap(function()
        local g = coroutine.wrap(function()
          local h = coroutine.wrap(function() coroutine.yield(wait('h1')) return wait('h2') end)
          coroutine.yield(h() .. wait('g')) coroutine.yield(h())
        end)
        coroutine.yield(g()) coroutine.yield(wait('f') .. g())
      end)
      return f(), f()`,
    ),
    ['H1G', 'FH2'],
  );
  assert.deepEqual(
    finish(
      world,
      `local co = coroutine.create(function(a, b) local c = coroutine.yield(wait(a) .. b) error({c, wait('late')}) end)
      local ok, first = coroutine.resume(co, 'x', 'y')
      local failed, e = coroutine.resume(co, 'z')
      return ok, first, failed, e[1], e[2], coroutine.status(co)`,
    ),
    ['true', 'Xy', 'false', 'z', 'LATE', 'dead'],
  );
  assert.deepEqual(
    finish(
      world,
      `local function deep(n) if n == 0 then return wait('deep') end return coroutine.wrap(deep)(n - 1) end return deep(60)`,
    ),
    ['DEEP'],
  );
});

test('An iterator that is a coroutine waits while its loop runs', async () => {
  const world = await LuaWorld.create();
  assert.deepEqual(
    finish(
      world,
      `local sum = '' for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(wait('v' .. i)) end end) do sum = sum .. v end return sum`,
    ),
    ['V1V2V3'],
  );
});

test('Nothing waits below table.sort, string.gsub, a reader of load or a finaliser', async () => {
  const world = await LuaWorld.create();
  for (const source of [
    `local r table.sort({2, 1}, function(a, b) r = wait() return a < b end) return r`,
    `return (('x'):gsub('.', function() return wait() end))`,
    `local r load(function() r = wait() end) return r`,
    `local r setmetatable({}, {__gc = function() r = wait() end}) collectgarbage() return r`,
    `local r table.sort({2, 1}, function(a, b) r = coroutine.wrap(function() return wait() end)() return a < b end) return r`,
  ])
    assert.deepEqual(world.evaluate(source), ['cannot wait'], source);
  assert.deepEqual(
    finish(world, `table.sort({2, 1}, function(a, b) wait() return a < b end) return wait('after')`),
    ['AFTER'],
  );
});

test('A coroutine that waits for the host can be neither resumed, closed nor taken for suspended by others', async () => {
  const world = await LuaWorld.create();
  const run = world.run(`
    SELF = coroutine.running()
    INNER = coroutine.create(function() return wait('inner') end)
    WRAPPED = coroutine.wrap(function() return select(2, coroutine.resume(INNER)) end)
    return WRAPPED()`);
  assert.equal(run.outcome, 'suspended');
  assert.deepEqual(
    world.evaluate(`
      local out = {}
      for _, co in ipairs{SELF, INNER} do
        local ok, m = coroutine.resume(co)
        out[#out + 1] = tostring(ok) .. ' ' .. m .. ' ' .. coroutine.status(co) .. ' ' .. select(2, pcall(coroutine.close, co))
      end
      out[#out + 1] = select(2, pcall(WRAPPED))
      return table.unpack(out)`),
    [
      'false cannot resume non-suspended coroutine normal cannot close a normal coroutine',
      'false cannot resume non-suspended coroutine normal cannot close a normal coroutine',
      'cannot resume non-suspended coroutine',
    ],
  );
  world.wake('answer');
  assert.deepEqual(run.results, ['answer']);
  assert.deepEqual(world.evaluate('return coroutine.status(INNER), coroutine.status(SELF)'), [
    'dead',
    'dead',
  ]);
});

test('A function started by the host cannot yield', async () => {
  const world = await LuaWorld.create();
  assert.deepEqual(
    world.evaluate(
      'local _, main = coroutine.running() return main, coroutine.isyieldable(), pcall(coroutine.yield, 1)',
    ),
    ['true', 'false', 'false', 'attempt to yield from outside a coroutine'],
  );
  assert.equal(world.scheduler.active, 0);
});

test('Coroutine.kill() of a waiting coroutine cancels the wait, closes variables and tells nobody', async () => {
  const world = await LuaWorld.create();
  const run = world.run(`
    local a <close> = setmetatable({}, {__close = function(_, e) note('a', e, wait()) end})
    local b <close> = setmetatable({}, {__close = function() note('b') end})
    wait() note('never')`);
  const wait = world.waits[0];
  run.coroutine?.kill();
  assert.equal(wait?.cancelled, true);
  assert.deepEqual(world.notes, ['b', 'a nil cannot wait']);
  assert.equal(run.outcome, 'suspended');
  assert.equal(world.scheduler.active, 0);
  wait?.wake('too late');
  run.coroutine?.kill();
  assert.equal(world.scheduler.active, 0);
});

test("Coroutine.kill() closes variables of the script's coroutines too, the innermost first", async () => {
  const world = await LuaWorld.create();
  const run = world.run(`
    local function closer(name) return setmetatable({}, {__close = function() note(name) end}) end
    local outer <close> = closer('outer')
    KEPT = coroutine.create(function()
      local inner <close> = closer('inner')
      wait()
    end)
    coroutine.wrap(function()
      local middle <close> = closer('middle')
      coroutine.resume(KEPT)
    end)()`);
  run.coroutine?.kill();
  assert.deepEqual(world.notes, ['inner', 'middle', 'outer']);
  assert.deepEqual(world.evaluate('return coroutine.status(KEPT), coroutine.resume(KEPT)'), [
    'dead',
    'false',
    'cannot resume dead coroutine',
  ]);
});

test('Coroutine.kill() survives errors in __close', async () => {
  const world = await LuaWorld.create();
  const run = world.run(`
    local a <close> = setmetatable({}, {__close = function(_, e) note('a', e) end})
    local b <close> = setmetatable({}, {__close = function() error('in close', 0) end})
    wait()`);
  run.coroutine?.kill();
  assert.deepEqual(world.notes, ['a in close']);
  assert.deepEqual(world.evaluate('return 1'), ['1']);
});

test('Coroutine.kill() of a running coroutine ends it at its next wait, or lets it return', async () => {
  const world = await LuaWorld.create();
  const { state, scheduler } = world;
  const { suicide } = state.addFunctions({
    suicide: () => {
      scheduler.running.kill();
      return 0;
    },
  });
  state.exports.lua_pushcclosure(state.mainThread, suicide, 0);
  state.exports.lua_setglobal(state.mainThread, state.memory.constant('suicide'));
  const waits = world.run(
    `local a <close> = setmetatable({}, {__close = function() note('closed') end}) suicide() wait() note('never')`,
  );
  assert.deepEqual([waits.outcome, world.notes], ['running', ['closed']]);
  assert.equal(world.waits.length, 0);
  const returns = world.run(`suicide() note('goes on')`);
  assert.deepEqual([returns.outcome, world.notes[1]], ['running', 'goes on']);
  const fails = world.run(`suicide() error('ignored')`);
  assert.equal(fails.outcome, 'running');
  assert.equal(scheduler.active, 0);
});

test('Coroutine.wake() does nothing once the coroutine has moved on', async () => {
  const world = await LuaWorld.create();
  const run = world.run(`return wait('one'), wait('two')`);
  const first = world.waits[0];
  world.wake('1');
  assert.equal(world.waits.length, 1);
  world.wake('2');
  first?.wake('again');
  assert.deepEqual(run.results, ['1', '2']);
});

test('An error after a wait is told with its traceback, and __close sees it', async () => {
  const world = await LuaWorld.create();
  const run = world.run(`
    local a <close> = setmetatable({}, {__close = function(_, e) note('close', e) end})
    local function later() wait() error('late') end
    later()`);
  world.wake();
  assert.equal(run.outcome, 'failed');
  assert.match(run.message, /^test:3: late\nstack traceback:\n(.*\n)*\ttest:3: in local 'later'/);
  assert.deepEqual(world.notes, ['close test:3: late']);
});

test('Error values of every type are described', async () => {
  const world = await LuaWorld.create();
  const first = (source: string): string => world.run(source).message.split('\n')[0] ?? '';
  assert.equal(first('error()'), '(error object is a nil value)');
  assert.equal(first('error({})'), '(error object is a table value)');
  assert.equal(first('error(12)'), '12');
  assert.equal(first(`error(setmetatable({}, {__tostring = function() return 'shown' end}))`), 'shown');
  assert.equal(
    first(`error(setmetatable({}, {__tostring = function() error('worse') end}))`),
    '(error object is a table value)',
  );
  assert.equal(
    first(`error(setmetatable({}, {__tostring = function() return {} end}))`),
    '(error object is a table value)',
  );
  assert.equal(first(`error('a\\0b', 0)`), 'a');
});
