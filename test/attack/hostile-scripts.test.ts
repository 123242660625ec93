/** What hostile or broken scripts get, and that nobody else on their worker suffers: the real program, one worker. */

import assert from 'node:assert/strict';
import type { ClientHttp2Session } from 'node:http2';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkerClock } from '../hostile/worker-clock.ts';
import { LOSE_STATE } from '../support/lose-state.ts';
import { eventually } from '../support/script-harness.ts';
import { inForm } from '../support/test-form.ts';
import { type Answer, askSession, TestGateway } from '../support/test-gateway.ts';
import { TimerLag } from '../support/timer-lag.ts';

const CPU_LIMIT_MS = inForm(40, 300);
/**
 * What the worker may compute, ms of its processor time, which other programs hardly change: for others beside one request, some
 * slices and collections of garbage.
 */
const WORK_MS_MAX = 250;
/** From a request to its verdict: the limit, 100 ms for its enforcement, a state made anew, and honest requests beside it. */
const VERDICT_WORK_MS_MAX = CPU_LIMIT_MS + 100 + 2 * WORK_MS_MAX;
/** While an honest request waits beside an attack: a stop inside one C function takes the limit and its grace. */
const HONEST_WORK_MS_MAX = CPU_LIMIT_MS + 100 + WORK_MS_MAX;
const COMPUTING = inForm(5, 20);
/** Processor time of the handler beside which others are answered, and how many of them. */
const COMPUTE_SECONDS = inForm(0.5, 2);
const BESIDE_COMPUTING = inForm(10, 50);
const HONEST_PAUSE_MS = 20;
const MEBIBYTE = 1024 * 1024;
const STATE_BYTES_MAX = 64 * MEBIBYTE;

interface Attack {
  readonly lua: string;
  /** 500 unless the script is allowed to go on. */
  readonly status?: number;
  /** The log has to say this of it. */
  readonly log?: RegExp;
  /** Seconds of CPU time, where it has a lot to do. */
  readonly cpu?: number;
}

/** The log names limit, handler, use and place of what a limit has ended. */
const LIMIT = `limit=cpu limitMs=${CPU_LIMIT_MS} usedMs=\\d+`;
const CPU = new RegExp(`Lua error: .*CPU limit reached.*stack traceback:.*handler=\\S+.*${LIMIT}`);
/** What copies a lot may use up its time before the memory. */
const MEMORY = /Lua error: .*(?:not enough memory|limit=cpu)/;

const ATTACKS: Readonly<Record<string, Attack>> = {
  'a loop without end': { lua: `while true do end`, log: CPU },
  'a loop without end in pcall, again and again': {
    lua: `while true do pcall(function() while true do end end) end`,
    log: CPU,
  },
  'a loop without end in a coroutine': {
    lua: `local co = coroutine.create(function() while true do end end)
          while true do coroutine.resume(co) end`,
    log: CPU,
  },
  'a loop without end in a wrapped coroutine': {
    lua: `coroutine.wrap(function() while true do end end)()`,
    log: CPU,
  },
  'a thousand coroutines that loop': {
    lua: `local all = {}
          for i = 1, 1000 do all[i] = coroutine.create(function() while true do end end) end
          while true do for _, co in ipairs(all) do coroutine.resume(co) end end`,
    log: CPU,
  },
  'a thousand coroutines inside each other': {
    lua: `local function nest(n) if n == 0 then while true do end end
            pcall(coroutine.wrap(function() nest(n - 1) end)) while true do end end
          nest(150)`,
    log: CPU,
  },
  'a metamethod that loops': {
    lua: `local t = setmetatable({}, {__index = function() while true do end end}) return t.x`,
    log: CPU,
  },
  'a metamethod of an operator that loops in pcall': {
    lua: `local t = setmetatable({}, {__add = function() while true do end end})
          while true do pcall(function() return t + 1 end) end`,
    log: CPU,
  },
  'a finaliser that loops': {
    lua: `setmetatable({}, {__gc = function() while true do end end}) collectgarbage()`,
    log: CPU,
  },
  'a finaliser that loops in a collection of its own time': {
    lua: `for i = 1, 10 do setmetatable({}, {__gc = function() while true do end end}) end
          local t = {} for i = 1, 1e6 do t = {t, i} if i % 100 == 0 then t = {} end end`,
    log: CPU,
  },
  'a finaliser that loops after its request': {
    lua: `for i = 1, 10 do setmetatable({}, {__gc = function() while true do end end}) end`,
    status: 200,
  },
  'finalisers that loop, five thousand': {
    lua: LOSE_STATE,
    log: new RegExp(`Lua error: .*CPU limit reached.*handler=\\S+.*${LIMIT}`),
  },
  'a message handler that loops': {
    lua: `xpcall(error, function() while true do end end)`,
    log: CPU,
  },
  'a message handler that fails in itself': {
    lua: `while true do xpcall(error, function() error('again') end) end`,
    log: CPU,
  },
  'a comparator of table.sort that loops': {
    lua: `table.sort({3, 2, 1}, function() while true do end end)`,
    log: CPU,
  },
  'a comparator that loops in pcall': {
    lua: `table.sort({3, 2, 1}, function() while true do pcall(function() while true do end end) end end)`,
    log: CPU,
  },
  'a callback of string.gsub that loops': {
    lua: `string.gsub('abc', '.', function() while true do end end)`,
    log: CPU,
  },
  'a reader of load that loops': { lua: `load(function() while true do end end)`, log: CPU },
  'a reader of load that never ends': {
    lua: `load(function() return 'x = 1 ' end)`,
    log: MEMORY,
  },
  'an iterator that loops': { lua: `for _ in function() while true do end end do end`, log: CPU },
  'a tostring that loops': {
    lua: `print(setmetatable({}, {__tostring = function() while true do end end}))`,
    log: CPU,
  },
  'an error whose tostring loops': {
    lua: `error(setmetatable({}, {__tostring = function() while true do end end}))`,
    log: /Lua error: /,
  },
  'a variable whose close loops': {
    lua: `local x <close> = setmetatable({}, {__close = function() while true do end end}) error('out')`,
    log: /Lua error: /,
  },
  'a variable whose close loops at the limit': {
    lua: `local x <close> = setmetatable({}, {__close = function() while true do end end}) while true do end`,
    log: CPU,
  },
  'a goto that loops': { lua: `::again:: goto again`, log: CPU },
  'a for loop of all integers': { lua: `for i = math.mininteger, math.maxinteger do end`, log: CPU },
  'a pattern that nests captures': {
    lua: `local p = ('(.-)'):rep(12) for i = 1, 1e9 do (('x'):rep(200)):find(p .. 'y') end`,
    log: CPU,
  },
  'a pattern that tries everything': {
    lua: `return ('a'):rep(5000):find(('.-'):rep(20) .. 'b')`,
    log: CPU,
  },
  'memory in large pieces': {
    lua: `local t, piece = {}, ('x'):rep(100000) while true do t[#t + 1] = piece:rep(40) end`,
    log: /Lua error: .*not enough memory/,
    cpu: 10,
  },
  'a string that doubles for ever': { lua: `local s = 'x' while true do s = s .. s end`, log: MEMORY },
  'a string that doubles for ever in pcall': {
    lua: `while true do pcall(function() local s = 'x' while true do s = s .. s end end) end`,
    log: CPU,
  },
  'table.concat over a billion': {
    lua: `return table.concat(setmetatable({}, {__index = function() return '' end}), '', 1, 1e9)`,
    log: CPU,
  },
  'table.move over a billion': { lua: `table.move({}, 1, 1e9, 2)`, log: CPU },
  'table.unpack of a million': {
    lua: `return select('#', table.unpack({}, 1, 1e8))`,
    log: /too many results/,
  },
  'string.rep of nothing, ten billion times': { lua: `return #string.rep('', 1e10)`, log: CPU },
  'string.rep of ten billion bytes': {
    lua: `return string.rep('x', 1e10)`,
    log: /resulting string too large|not enough memory/,
  },
  'string.rep of all memory in pcall': {
    lua: `while true do pcall(string.rep, 'x', 50 * 1024 * 1024) end`,
    log: CPU,
  },
  'a table that grows for ever': {
    lua: `local t = {} for i = 1, math.huge do t[i] = {i} end`,
    log: MEMORY,
  },
  'a table of strings that grows for ever': {
    lua: `local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end`,
    log: MEMORY,
  },
  'a global that grows for ever': {
    lua: `hoard = hoard or {} while true do hoard[#hoard + 1] = ('x'):rep(100000) .. #hoard end`,
    log: MEMORY,
  },
  'recursion without end': {
    lua: `local function f() return 1 + f() end f()`,
    log: /stack overflow|not enough memory|limit=cpu/,
  },
  'recursion without end in pcall': {
    lua: `local function f() return 1 + f() end while true do pcall(f) end`,
    log: new RegExp(LIMIT),
  },
  'recursion without end through string.gsub': {
    lua: `local function f(s) return (s:gsub('.', f)) end f('x')`,
    log: /stack overflow/,
    cpu: 10,
  },
  'recursion of pcall itself': {
    lua: `local function f() pcall(f) while true do end end f()`,
    log: CPU,
  },
  'tail calls without end': { lua: `local function f() return f() end f()`, log: CPU },
  'debug.sethook, which does not exist': {
    lua: `while true do debug.sethook() end`,
    log: /attempt to call a nil value \(field 'sethook'\)/,
  },
  'a script that closes the standard files': {
    lua: `pcall(io.close) pcall(io.stdout.close, io.stdout) pcall(io.stderr.close, io.stderr)
          pcall(io.stdin.close, io.stdin) pcall(print, 'still here') pcall(io.write, 'x') pcall(io.read)`,
    status: 200,
  },
  'damaged bytecode': {
    lua: `local good = string.dump(function(a) local t = {a, 'x', 1.5} for k, v in pairs(t) do a = v end return t, a end)
          for i = 1, 10000 do
            local at = i % #good + 1
            local bad = good:sub(1, at - 1) .. string.char((i * 7919) % 256) .. good:sub(at + 1)
            local f = load(bad, 'bad', 'b')
            if f then pcall(f, i) end
          end`,
    status: 200,
    cpu: 10,
  },
  'an error that is a table': { lua: `error({})`, log: /error object is a table value/ },
  'an error that is nil': { lua: `error(nil)`, log: /error object is a nil value/ },
  'an error with a metatable': {
    lua: `error(setmetatable({}, {__tostring = function() return 'told by its metatable' end}))`,
    log: /told by its metatable/,
  },
  'an error whose tostring fails': {
    lua: `error(setmetatable({}, {__tostring = function() error('no') end}))`,
    log: /Lua error: /,
  },
  'an error whose tostring is no text': {
    lua: `error(setmetatable({}, {__tostring = function() return {} end}))`,
    log: /Lua error: /,
  },
  'files opened until there are no more': {
    lua: `kept = {} while true do kept[#kept + 1] = assert(io.open('/dev/null')) end`,
    cpu: 10,
    log: /Lua error: .*(?:[Tt]oo many open files|files)/,
  },
  'os.exit': { lua: `os.exit(1)`, log: /Lua error: / },
};

const HOSTILE = `local httpd = require 'httpd'
httpd.register_handler('/ok', function() httpd.write(nil, 'ok') end)
httpd.register_handler('/compute', function()
  local till = os.clock() + ${COMPUTE_SECONDS}
  while os.clock() < till do end
  httpd.write(nil, 'computed')
end, {cpu = 30})
httpd.register_handler('/calibrate', function()
  local till = os.clock() + 0.2
  while os.clock() < till do end
end, {cpu = 30})
httpd.register_handler('/wait', function() httpd.read(nil, 1) httpd.write(nil, 'waited') end)
${Object.values(ATTACKS)
  .map(
    ({ lua, cpu }, i) => `httpd.register_handler('/attack-${i}', function()
  local function attack(...) ${lua.replaceAll('\n', ' ')}
  end
  attack()
  httpd.write(nil, 'survived')
end${cpu === undefined ? '' : `, {cpu = ${cpu}}`})`,
  )
  .join('\n')}`;

const HONEST = `local httpd = require 'httpd'
local count = 0
httpd.register_handler('/hello', function(env)
  count = count + 1
  httpd.write(nil, 'hello ' .. env.QUERY_INFO)
end)`;

let gateway: TestGateway;
let clock: WorkerClock;
let lag: TimerLag;
let honest: ClientHttp2Session;
let hostile: ClientHttp2Session;

before(async () => {
  gateway = await TestGateway.start(
    { '/honest': HONEST, '/hostile': HOSTILE },
    { words: ['--cpu-limit', String(CPU_LIMIT_MS / 1000), '--memory', '64M'], apart: true },
  );
  lag = new TimerLag();
  honest = await gateway.session();
  hostile = await gateway.session();
  clock = await WorkerClock.find(gateway.process.pid, () => askSession(hostile, '/hostile/calibrate'));
});
after(async () => {
  lag.stop();
  await gateway.stop();
});

/** Begins to count what the worker computes, ms: without what it may have done while this process stood still with the answer before it. */
function workSince(): () => number {
  const [start, late] = [clock.ms, lag.sumMs()];
  return () => clock.ms - start - (lag.sumMs() - late);
}

/** Asks an honest handler again and again while `deed` is under way; returns the most work that stood before an answer, ms. */
async function beside<T>(deed: Promise<T>): Promise<{ readonly result: T; readonly honestWorkMs: number }> {
  let done = false;
  const finished = deed.finally(() => {
    done = true;
  });
  let honestWorkMs = 0;
  for (let i = 0; !done || i === 0; i++) {
    const work = workSince();
    const answer = await askSession(honest, `/honest/hello?${i}`);
    assert.deepEqual([answer.status, answer.text], [200, `hello ${i}`]);
    honestWorkMs = Math.max(honestWorkMs, work());
    await Promise.race([sleep(HONEST_PAUSE_MS), finished.catch(() => undefined)]);
  }
  return { result: await finished, honestWorkMs };
}

async function attack(
  index: number,
): Promise<{ readonly answer: Answer; readonly workMs: number; readonly honestWorkMs: number }> {
  const work = workSince();
  const asked = askSession(hostile, `/hostile/attack-${index}`).then((answer) => ({
    answer,
    workMs: work(),
  }));
  const { result, honestWorkMs } = await beside(asked);
  return { ...result, honestWorkMs };
}

for (const [index, [name, { status = 500, log, cpu = 0 }]] of Object.entries(ATTACKS).entries()) {
  // in the short form a third of the loops: lua/guard.test.ts ends the others
  if (log === CPU && inForm(index % 3 !== 0, false)) continue;
  test(`Of ${name} only its own request suffers`, async () => {
    const logged = gateway.log.length;
    const { answer, workMs, honestWorkMs } = await attack(index);
    assert.equal(answer.status, status, gateway.log.slice(logged));
    assert(workMs < VERDICT_WORK_MS_MAX + cpu * 1000, `the verdict took ${workMs} ms of work`);
    assert(honestWorkMs < HONEST_WORK_MS_MAX, `an honest request waited for ${honestWorkMs} ms of work`);
    const next = await askSession(hostile, '/hostile/ok');
    assert.deepEqual([next.status, next.text], [200, 'ok'], gateway.log.slice(logged));
    if (log !== undefined) {
      const told = (): string => gateway.log.slice(logged).replaceAll('\n', ' ');
      await eventually(() => assert.match(told(), log));
    }
    assert.doesNotMatch(gateway.log.slice(logged), /Worker \d|Uncaught|crash/, 'the thread lives on');
  });
}

test('Whoever shares a state that has to be given up gets 503, and the next request a fresh state', async () => {
  const finalisers = Object.keys(ATTACKS).indexOf('finalisers that loop, five thousand');
  const bystander = hostile.request({ ':method': 'POST', ':path': '/hostile/wait' });
  const status = new Promise<number>((resolve) => {
    bystander.on('response', (head) => {
      assert.equal(head['retry-after'], '1');
      resolve(Number(head[':status']));
    });
    bystander.on('error', () => undefined);
  });
  await gateway.untilCounters(({ coroutines }) => coroutines >= 1, 'the bystander waits');
  const { answer } = await attack(finalisers);
  assert.equal(answer.status, 500);
  assert.equal(await status, 503);
  bystander.close();
  assert.equal((await askSession(hostile, '/hostile/ok')).text, 'ok');
});

test('While one handler computes, many requests on its worker are answered promptly', async () => {
  let mostMs = 0;
  for (let i = 0; i < BESIDE_COMPUTING; ) {
    let computes = true;
    const busy = askSession(hostile, '/hostile/compute').finally(() => {
      computes = false;
    });
    // again where this process stood still until it was done
    while (computes && (await gateway.counters()).coroutines === 0);
    for (; computes && i < BESIDE_COMPUTING; i++) {
      const work = workSince();
      assert.equal((await askSession(honest, `/honest/hello?${i}`)).text, `hello ${i}`);
      mostMs = Math.max(mostMs, work());
    }
    assert.equal((await busy).text, 'computed');
  }
  assert(mostMs < WORK_MS_MAX, `a request waited for ${mostMs} ms of work`);
});

test('The page of a 500 has the id under which the log speaks of the request', async () => {
  const logged = gateway.log.length;
  const { text } = await askSession(hostile, '/hostile/attack-0');
  const id = /<p>Error id: ([\w-]+)<\/p>/.exec(text)?.[1];
  assert(id !== undefined, text);
  await eventually(() => assert.match(gateway.log.slice(logged), new RegExp(`request=${id} `)));
});

test(`${COMPUTING} requests that compute to their limit get their verdicts, and an honest one waits for few of them`, async () => {
  const attacks = Promise.all(
    Array.from({ length: COMPUTING }, () => askSession(hostile, '/hostile/attack-0')),
  );
  const { result, honestWorkMs } = await beside(attacks);
  assert.deepEqual([...new Set(result.map(({ status }) => status))], [500]);
  assert(honestWorkMs < HONEST_WORK_MS_MAX, `an honest request waited for ${honestWorkMs} ms of work`);
});

test('After all this the thread is the same one, nothing is open and memory has come back', async () => {
  await gateway.untilIdle();
  const logged = gateway.log;
  assert.equal(logged.match(/Listening on/g)?.length, 1);
  // a few states may wait for the collector of JavaScript
  const states = gateway.residentBytes / STATE_BYTES_MAX;
  assert(states < 8, `${gateway.residentBytes} bytes are resident`);
});
