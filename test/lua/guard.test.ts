import assert from 'node:assert/strict';
import { before } from 'node:test';
import { type CoroutineOwner, cpuBudget, type LimitReached } from '../../src/lua/coroutine.ts';
import { installCoroutineLibrary } from '../../src/lua/coroutine-library.ts';
import { CoroutineScheduler } from '../../src/lua/coroutine-scheduler.ts';
import type { Address, CFunction } from '../../src/lua/lua-exports.ts';
import { State } from '../../src/lua/state.ts';
import { THREAD_FIELD } from '../../src/lua/thread-layout.ts';
import { calmTest as test } from '../support/calm.ts';
import { eventually, luaModule, ScriptHarness, turn } from '../support/script-harness.ts';
import { StretchMeter } from '../support/stretch-meter.ts';
import { inForm } from '../support/test-form.ts';

const LIMIT_MS = 60;
/** Several slices, for each of many that are ended alike. */
const STOPPED_LIMIT_MS = inForm(20, 60);
/** After the limit: grace, `__close`, a traceback, and a busy machine. */
const MARGIN_MS = 30_000;

let module: WebAssembly.Module;
before(async () => {
  module = await luaModule();
});

interface Ended {
  readonly ok: boolean;
  readonly message: string;
  readonly limit: LimitReached | undefined;
}

/** A VM whose loss is noted. */
class GuardedWorld {
  readonly state: State;
  readonly scheduler: CoroutineScheduler;
  lost = 0;
  #wake: (() => void) | undefined;

  static async create(): Promise<GuardedWorld> {
    return new GuardedWorld(await State.create(module));
  }

  private constructor(state: State) {
    this.state = state;
    this.scheduler = new CoroutineScheduler(state, () => {
      this.lost += 1;
    });
    installCoroutineLibrary(this.scheduler);
    const { wait } = state.addFunctions({
      wait: (L) => {
        const coroutine = this.scheduler.running;
        this.#wake = coroutine.wake;
        return coroutine.wait(
          L,
          () => 0,
          () => undefined,
        );
      },
    });
    this.define('wait', wait);
  }

  define(name: string, run: CFunction): void {
    const { exports: x, memory, mainThread } = this.state;
    x.lua_pushcclosure(mainThread, run, 0);
    x.lua_setglobal(mainThread, memory.constant(name));
  }

  wake(): void {
    this.#wake?.();
  }

  run(source: string, limitMs: number = LIMIT_MS): Promise<Ended> {
    return new Promise((resolve) => {
      const owner: CoroutineOwner = {
        finished: () => resolve({ ok: true, message: '', limit: undefined }),
        failed: (message, limit) => resolve({ ok: false, message, limit }),
        suspended: () => undefined,
      };
      const begin = (L: Parameters<State['load']>[0]): number => {
        this.state.load(L, Buffer.from(source), '=test');
        return 0;
      };
      this.scheduler.start(owner, begin, cpuBudget(limitMs));
    });
  }
}

/** Ended by hooks: the VM goes on. */
const STOPPED: Readonly<Record<string, string>> = {
  'a loop': 'while true do end',
  'pcall in a loop': 'while true do pcall(function() while true do end end) end',
  'xpcall in a loop': 'while true do xpcall(function() while true do end end, function(m) return m end) end',
  'a coroutine': 'coroutine.wrap(function() while true do end end)()',
  'coroutines in each other':
    'coroutine.wrap(function() coroutine.wrap(function() while true do end end)() end)()',
  'a metamethod': 'return setmetatable({}, {__index = function() while true do end end}).x',
  'a comparator': 'table.sort({3, 2, 1}, function() while true do end end)',
  'a callback of gsub': "string.gsub('abc', '.', function() while true do end end)",
  'a pattern callback in pcall':
    "while true do pcall(string.gsub, 'abc', '.', function() while true do end end) end",
  exceptions: "while true do pcall(error, 'x') end",
  'a finaliser': 'setmetatable({}, {__gc = function() while true do end end}) collectgarbage()',
  'a finaliser that catches errors':
    'setmetatable({}, {__gc = function() while true do pcall(function() while true do end end) end end}) collectgarbage()',
  'a hook of its own': "debug.sethook(function() while true do end end, '', 1) local x = 1",
  'a message handler': 'xpcall(error, function() while true do end end)',
  'a message handler that catches errors': 'xpcall(error, function() while true do pcall(error) end end)',
  'a message handler that fails': "while true do xpcall(error, function() error('again') end) end",
  'a message handler that fails deep down':
    'local function f() return 1 + f() end while true do xpcall(f, function() return 1 + f() end) end',
  'a comparator in C':
    'local t = {} for i = 1, 1e5 do t[i] = i * 7919 % 100003 end while true do table.sort(t, math.ult) end',
  'a comparator in C that fails': "while true do pcall(table.sort, {'a', 'b', 'c'}, string.rep) end",
  'a callback in C': "while true do pcall(string.gsub, ('x'):rep(1e6), '.', tostring) end",
  'an __index in C':
    "while true do string.gsub(('x'):rep(1e6), '.', setmetatable({}, {__index = rawget})) end",
  'a reader that is a coroutine':
    "load(coroutine.wrap(function() while true do coroutine.yield(' ') end end))",
  'a pattern': "return ('a'):rep(5000):find(('.-'):rep(20) .. 'b')",
  'a pattern in pcall': "while true do pcall(string.match, ('a'):rep(3000), ('a*'):rep(6) .. 'b') end",
  'a pattern of gmatch': "for _ in ('a'):rep(1e5):gmatch('a-b') do end",
  'a pattern of gsub': "return ('a'):rep(1e5):gsub('a-b', '')",
  'a search for a long string':
    "local s = ('a'):rep(4e6) while true do s:find(('a'):rep(1e6) .. 'b', 1, true) end",
  'string.rep of nothing': "return ('').rep('', 1e10)",
  'string.rep of all memory in pcall': "while true do pcall(string.rep, 'x', 5e7) end",
  'string.format': "local s = ('\\0'):rep(1e7) while true do string.format('%q', s) end",
  'table.move': 'table.move({}, 1, 1e9, 2)',
  'table.concat': "table.concat(setmetatable({}, {__index = function() return '' end}), '', 1, 1e9)",
  'table.insert': `local t = setmetatable({}, {__index = rawequal, __len = function() return 1e9 end, __newindex = rawequal})
    while true do pcall(table.insert, t, 1, 1) end`,
  'utf8.len': "local s = ('é'):rep(4e6) while true do utf8.len(s) end",
  'a chunk that is compiled': "local s = ('x = 1 '):rep(2e6) while true do load(s) end",
  'a chunk that is compiled in pcall':
    "local s = 'return {' .. ('1,'):rep(3e6) while true do pcall(load, s) end",
  'a pattern in a finaliser':
    "setmetatable({}, {__gc = function() return ('a'):rep(5000):find(('.-'):rep(20) .. 'b') end}) collectgarbage()",
  'a pattern in a coroutine':
    "coroutine.wrap(function() return ('a'):rep(5000):find(('.-'):rep(20) .. 'b') end)()",
  'a pattern in a coroutine in table.sort': `table.sort({3, 2, 1}, function()
    return coroutine.wrap(function() return ('a'):rep(5000):find(('.-'):rep(20) .. 'b') end)() end)`,
  'a coroutine that is closed': `local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() while true do end end})
     coroutine.yield() end) coroutine.resume(co) coroutine.close(co)`,
  'a coroutine that is closed and catches errors': `local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function()
     while true do pcall(function() while true do end end) end end}) coroutine.yield() end)
     coroutine.resume(co) coroutine.close(co)`,
};

for (const [name, source] of Object.entries(STOPPED)) {
  test(`The CPU limit ends ${name}, and the VM lives on`, async () => {
    const world = await GuardedWorld.create();
    const start = performance.now();
    const { ok, message, limit } = await world.run(source, STOPPED_LIMIT_MS);
    assert(performance.now() - start < STOPPED_LIMIT_MS + MARGIN_MS);
    assert.equal(ok, false);
    assert.match(message, /CPU limit reached[\s\S]*stack traceback:\n[\s\S]*test:\d:/);
    assert.equal(limit?.name, 'cpu');
    assert.equal(limit.limitMs, STOPPED_LIMIT_MS);
    assert(limit.usedMs >= STOPPED_LIMIT_MS);
    assert.deepEqual([world.lost, world.scheduler.active], [0, 0]);
    assert.equal((await world.run('return 1')).ok, true);
  });
}

/** Each ends for itself, and nothing ends them all. */
const LOST: Readonly<Record<string, string>> = {
  'a hundred thousand finalisers': `local m = {__gc = function() while true do end end} collectgarbage 'stop'
    for i = 1, 1e5 do setmetatable({}, m) end collectgarbage()`,
};

for (const [name, source] of Object.entries(LOST)) {
  test(`The VM is given up for ${name} that does not end, once, and everybody hears of it`, async () => {
    const world = await GuardedWorld.create();
    const start = performance.now();
    const { ok, message, limit } = await world.run(source);
    assert(performance.now() - start < LIMIT_MS + MARGIN_MS);
    assert.equal(ok, false);
    assert.match(message, /^CPU limit reached/);
    assert.equal(limit?.name, 'cpu');
    assert.equal(world.lost, 1);
    assert(world.state.abandoned);
  });
}

/** Long enough to tell turns from none on a machine that has just begun to compile the VM's code. */
const TURNS_LIMIT_MS = inForm(200, 300);

/** What a pass of a loop costs that does nothing. */
const ROUND_MAX = 20;
const CALLS = 100;
const MS_OF_ROUNDS = 200_000;

test('A call of a host function takes fuel before it reaches the host', async () => {
  const world = await GuardedWorld.create();
  const fuelSeen: number[] = [];
  const { look } = world.state.addFunctions({
    look: () => {
      // enough for all calls, so that it is not filled up in between
      if (fuelSeen.length === 0) world.state.exports.fuel.value = MS_OF_ROUNDS;
      fuelSeen.push(world.state.exports.fuel.value);
      return 0;
    },
  });
  world.define('look', look);
  assert.equal((await world.run(`for i = 1, ${CALLS} do look() end`)).ok, true);
  const used = (fuelSeen[0] as number) - (fuelSeen.at(-1) as number);
  assert(used >= (CALLS - 1) * (100 - ROUND_MAX), `${used} used`);
  assert(used <= (CALLS - 1) * (100 + ROUND_MAX), `${used} used`);
});

/** Keeps the thread busy for `ms` of wall-clock time. */
function work(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('Work of host functions that is paid for is ended at the limit and gives others their turns', async () => {
  const world = await GuardedWorld.create();
  let turns = 0;
  const { toil } = world.state.addFunctions({
    toil: () => {
      world.scheduler.guard.pay(MS_OF_ROUNDS);
      work(1);
      return 0;
    },
  });
  world.define('toil', toil);
  let done = false;
  const run = world.run('while true do pcall(toil) end').finally(() => {
    done = true;
  });
  while (!done) {
    await turn();
    turns += 1;
  }
  const ended = await run;
  assert.match(ended.message, /CPU limit reached/);
  assert.equal(ended.limit?.name, 'cpu');
  assert(turns > 2, `${turns} turns`);
  assert.equal(world.lost, 0);
  assert.equal((await world.run('return 1')).ok, true);
});

test('Host work without end costs the VM soon after the limit, whatever catches errors around it', async () => {
  const world = await GuardedWorld.create();
  const { toil } = world.state.addFunctions({
    toil: () => {
      for (;;) {
        world.scheduler.guard.pay(MS_OF_ROUNDS);
        work(1);
      }
    },
  });
  world.define('toil', toil);
  const { ok, message, limit } = await world.run('while true do pcall(pcall, toil) end');
  assert.deepEqual([ok, limit?.name, world.lost], [false, 'cpu', 1]);
  assert.match(message, /^CPU limit reached/);
});

test('Any amount can be paid at once', async () => {
  const world = await GuardedWorld.create();
  const { spend } = world.state.addFunctions({
    spend: (L) => {
      world.scheduler.guard.pay(world.state.checkInteger(L, 1));
      return 0;
    },
  });
  world.define('spend', spend);
  const source = 'for _, n in ipairs {0, 1, 1 << 30, 1 << 31, 1 << 40, 1 << 53} do spend(n) spend(n) end';
  assert.deepEqual(await world.run(source, 10_000), { ok: true, message: '', limit: undefined });
  const fuel = world.state.exports.fuel.value;
  assert(fuel > 0 && fuel <= MS_OF_ROUNDS, `${fuel}`);
});

test('Code that computes gives others their turns', async () => {
  const world = await GuardedWorld.create();
  let turns = 0;
  let done = false;
  const long = world
    .run('local n = 0 for i = 1, 1e7 do n = n + i end', Number.POSITIVE_INFINITY)
    .then((ended) => {
      done = true;
      return ended;
    });
  while (!done) {
    await turn();
    turns += 1;
    if (turns % 4 === 0) assert.equal((await world.run('return 1')).ok, true);
  }
  assert.equal((await long).ok, true);
  assert(turns > 4, `${turns} turns`);
});

/** Spends nearly all of its time below calls that no yield can cross; each is short. */
const SHORT_CALLS: Readonly<Record<string, string>> = {
  'table.sort': 'table.sort(t, function(a, b) return a < b end)',
  'table.sort in pcall': 'pcall(table.sort, t, function(a, b) return a < b end)',
  'table.sort that fails':
    "pcall(table.sort, t, function(a, b) if a > 990 then error('x') end return a < b end)",
  'table.sort in a coroutine':
    'coroutine.wrap(function() table.sort(t, function(a, b) return a < b end) end)()',
  'coroutines in table.sort':
    'table.sort({3, 1, 2, 4}, function(a, b) return coroutine.wrap(function() for i = 1, 100 do end return a < b end)() end)',
  'string.gsub': "s:gsub('.', function(c) return c end)",
  'load with a reader': "local n = 0 load(function() n = n + 1 return n < 1000 and 'x = 1 ' or nil end)",
  __tostring: 'tostring(v)',
  'coroutine.close': `local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() for i = 1, 1000 do end end})
    coroutine.yield() end) coroutine.resume(co) coroutine.close(co)`,
};

for (const [name, source] of Object.entries(SHORT_CALLS)) {
  test(`Calls of ${name}, each of which cannot be suspended, give others their turns between them`, async () => {
    const world = await GuardedWorld.create();
    const meter = new StretchMeter();
    const { limit } = await world.run(
      `local t, s = {}, ('x'):rep(3000) for i = 1, 1000 do t[i] = i end
       local v = setmetatable({}, {__tostring = function() for i = 1, 3000 do end return 'v' end})
       while true do ${source} end`,
      TURNS_LIMIT_MS,
    );
    const stretchMs = meter.stop();
    assert.equal(limit?.name, 'cpu');
    assert.equal(world.lost, 0);
    assert(stretchMs < TURNS_LIMIT_MS / 2, `nobody else had a turn for ${stretchMs} ms`);
  });
}

test('A sort that outlives its slice runs without a hook, and yields as soon as it has returned', async () => {
  const world = await GuardedWorld.create();
  let looks = 0;
  let hooked = 0;
  let turned = false;
  let turnedBehind = false;
  const { look, behind } = world.state.addFunctions({
    look: (L) => {
      looks += 1;
      if (world.state.memory.word((L + THREAD_FIELD.hookMask) as Address) !== 0) hooked += 1;
      return 0;
    },
    behind: () => {
      turnedBehind = turned;
      return 0;
    },
  });
  world.define('look', look);
  world.define('behind', behind);
  setImmediate(() => {
    turned = true;
  });
  const source = `local t = {} for i = 1, 20000 do t[i] = i * 7919 % 20011 end
    table.sort(t, function(a, b) look() return a < b end)
    behind()`;
  assert.equal((await world.run(source, Number.POSITIVE_INFINITY)).ok, true);
  assert(looks > 100_000);
  assert(hooked < looks / 10, `${hooked} of ${looks} calls had a hook`);
  assert(turnedBehind);
});

test('A slice that ends in a recursion of more frames than the VM has fuel for goes on in its turn', async () => {
  const world = await GuardedWorld.create();
  const ended = await world.run(
    `local function down(n) if n == 0 then for i = 1, 3e6 do end return 0 end return 1 + down(n - 1) end
     local t = {3, 1, 2}
     table.sort(t, function(a, b) pcall(down, 190000) return a < b end)
     pcall(down, 190000)`,
    Number.POSITIVE_INFINITY,
  );
  assert.deepEqual(ended, { ok: true, message: '', limit: undefined });
});

test('Those that compute take turns: one slice in each round of the event loop', async () => {
  const world = await GuardedWorld.create();
  const many = Array.from({ length: 10 }, () => world.run('while true do end'));
  let longestMs = 0;
  let done = false;
  const all = Promise.all(many).then((ended) => {
    done = true;
    return ended;
  });
  while (!done) {
    const start = performance.now();
    await turn();
    longestMs = Math.max(longestMs, performance.now() - start);
  }
  assert((await all).every(({ limit }) => limit?.name === 'cpu'));
  // ten slices in a row would be more than a hundred
  assert(longestMs < 10 * LIMIT_MS, `${longestMs} ms`);
});

test('Waits are not CPU time', async () => {
  const world = await GuardedWorld.create();
  const run = world.run('for i = 1, 4 do wait() for n = 1, 1e5 do end end');
  let done = false;
  void run.then(() => {
    done = true;
  });
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve, LIMIT_MS));
    world.wake();
  }
  await eventually(() => assert(done));
  assert.equal((await run).ok, true, (await run).message);
});

test('CPU time is added up over waits', async () => {
  const world = await GuardedWorld.create();
  const run = world.run('while true do for n = 1, 2e6 do end wait() end');
  let ended: Ended | undefined;
  void run.then((result) => {
    ended = result;
  });
  await eventually(() => {
    world.wake();
    assert(ended !== undefined);
  });
  assert.equal(ended?.limit?.name, 'cpu');
});

test('A killed coroutine closes its variables within bounds', async () => {
  const world = await GuardedWorld.create();
  const source = (body: string): string =>
    `local x <close> = setmetatable({}, {__close = function() ${body} end}) wait()`;
  const start = (text: string): void => {
    world.scheduler
      .start(
        { finished: () => undefined, failed: () => undefined, suspended: () => undefined },
        (L) => {
          world.state.load(L, Buffer.from(text), '=test');
          return 0;
        },
        cpuBudget(LIMIT_MS),
      )
      ?.kill();
  };
  const before = performance.now();
  start(source('closed = true'));
  start(source('while true do end'));
  start(source('while true do pcall(function() while true do end end) end'));
  start(`coroutine.wrap(function() ${source('while true do end')} end)()`);
  assert(performance.now() - before < MARGIN_MS);
  assert.deepEqual([world.scheduler.active, world.state.abandoned], [0, false]);
  assert.equal((await world.run('assert(closed)')).ok, true);
});

test('An error whose __tostring never ends is told without it', async () => {
  const world = await GuardedWorld.create();
  const { ok, message } = await world.run(
    'error(setmetatable({}, {__tostring = function() while true do end end}))',
  );
  assert.equal(ok, false);
  assert.match(message, /error object is a table value|CPU limit reached/);
});

test('A handler that is silent for too long ends at its time limit, with the place where it waits', async () => {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
     httpd.register_handler('/wait', function() coroutine.wrap(function() httpd.read(nil, 1) end)() end, {timeout = 0.2})`,
  );
  const exchange = harness.begin('/wait', { method: 'POST', body: 'open' });
  // nothing else keeps the test alive
  await eventually(() => assert(exchange.finished));
  assert.equal(exchange.status, 500);
  const told = harness.log.find((line) => line.includes('Time limit reached')) ?? '';
  assert.match(
    told,
    /stack traceback:[\s\S]*script\.lua:2:[\s\S]*handler=\/wait[\s\S]*limit=time limitMs=200 usedMs=\d+/,
  );
  await harness.expectNothingOpen();
  await harness.close();
});
