/**
 * Hooks that fail, over sockets: each kind of fault in each phase is bounded, logged with its mapping, and answered clearly; the
 * gateway then serves as before.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../support/script-harness.ts';
import { inForm } from '../support/test-form.ts';
import { PROTOCOLS, TestGateway, untilReceived } from '../support/test-gateway.ts';

const PHASES = ['start', 'stop', 'request', 'response', 'log', 'abort'] as const;
type Phase = (typeof PHASES)[number];

/** What the hooks do, and what the log says of it: for what computes, on a slow machine, perhaps another limit. */
const FAULTS: Readonly<Record<string, { readonly code: string; readonly log: (phase: Phase) => RegExp }>> = {
  error: { code: `error('hook failed')`, log: () => /error .*hook failed/ },
  value: { code: 'error({})', log: () => /error .*table/ },
  loop: {
    code: 'while true do end',
    log: (phase) => (phase === 'response' ? /error .*CPU limit reached/ : /error .*limit=(?:cpu|time)/),
  },
  caught: {
    code: 'while true do pcall(function() while true do end end) end',
    log: (phase) => (phase === 'response' ? /error .*CPU limit reached/ : /error .*limit=(?:cpu|time)/),
  },
  wait: {
    code: 'httpd.sleep(1000)',
    log: (phase) => (phase === 'response' ? /error .*a yield cannot cross this call/ : /error .*limit=time/),
  },
  yields: {
    code: 'while true do coroutine.wrap(function() httpd.sleep(0.001) end)() end',
    log: (phase) =>
      phase === 'response' ? /error .*a yield cannot cross this call/ : /error .*limit=(?:time|cpu)/,
  },
  memory: {
    code: `local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end`,
    log: () => /error .*(?:not enough memory|error in error handling|limit=(?:cpu|time)|CPU limit reached)/,
  },
  stack: {
    code: 'local function f() return 1 + f() end f()',
    log: () => /error .*(?:stack overflow|not enough memory|limit=(?:cpu|time)|CPU limit reached)/,
  },
};

/** What a hook may not do of what has to do with a client: none is there, or its answer is under way. */
const ANSWERS: Readonly<Record<string, string>> = {
  write: `httpd.write(nil, 'x')`,
  header: 'httpd.header {status = 200}',
  exit: `httpd.exit(200, 'x')`,
  redirect: `httpd.redirect('/x')`,
  close: 'httpd.close(nil)',
  body: 'httpd.read(nil)',
};
/** Those phases that have no answer to give, and what the log says there. */
const NO_ANSWER: Readonly<Partial<Record<Phase, RegExp>>> = {
  start: /error .*(?:no client|outside of a request)/,
  stop: /error .*called in a hook "stop", which has no client/,
  log: /error .*called in a hook "log", which has no client/,
  abort: /error .*called in a hook "abort", which has no client/,
};

interface Case {
  readonly path: string;
  readonly phase: Phase;
  readonly code: string;
  readonly log: RegExp;
}

/** In the short form every phase meets these, and of the other faults each meets two phases. */
const USUAL_FAULTS = ['error', 'loop', 'wait', 'memory'];

function meets(fault: string, phase: Phase): boolean {
  if (USUAL_FAULTS.includes(fault) || phase === 'response') return true;
  return inForm(Object.keys(FAULTS).indexOf(fault) % PHASES.length === PHASES.indexOf(phase), true);
}

const CASES: readonly Case[] = PHASES.flatMap((phase) => [
  ...Object.entries(FAULTS)
    .filter(([name]) => meets(name, phase))
    .map(([name, { code, log }]) => ({
      path: `/${phase}-${name}`,
      phase,
      code,
      log: log(phase),
    })),
  ...Object.entries(NO_ANSWER[phase] === undefined ? {} : ANSWERS).map(([name, code]) => ({
    path: `/${phase}-${name}`,
    phase,
    code,
    log: NO_ANSWER[phase] as RegExp,
  })),
]);

function script({ phase, code }: Case): string {
  return `local httpd = require 'httpd'
    httpd.hook('${phase}', function() ${code} end)
    httpd.register_handler('/run', function() httpd.write(nil, 'ok') end)
    httpd.register_handler('/hangs', function() while true do httpd.write(nil, 'begun') httpd.sleep(0.01) end end)`;
}

let gateway: TestGateway;

before(async () => {
  gateway = await TestGateway.start(Object.fromEntries(CASES.map((each) => [each.path, script(each)])), {
    words: ['--cpu-limit', '0.05', '--time-limit', '3', '--memory', '16m'],
    apart: true,
    keeps: true,
  });
});
after(() => gateway.stop());

/** Resolves when a line of the log names the mapping and matches. */
async function untilLogged({ path, log }: Case): Promise<void> {
  await eventually(() => {
    const lines = gateway.log
      .split('\n2')
      .filter((line) => line.includes(`mapping=${path} `) || line.endsWith(`mapping=${path}`));
    assert.ok(
      lines.some((line) => log.test(line.replaceAll('\n', ' '))),
      `${path} ${log}: ${lines.join('\n')}`,
    );
  });
}

async function hangUp(path: string): Promise<void> {
  const socket = await gateway.connect();
  socket.write(`GET ${path}/hangs HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await untilReceived(socket, /begun/);
  socket.destroy();
}

for (const phase of ['start', 'request', 'response', 'log', 'abort'] as const) {
  for (const [i, each] of CASES.filter((other) => other.phase === phase).entries()) {
    test(`A fault in a hook "${phase}" is bounded, logged and answered: ${each.path.slice(phase.length + 2)}`, async () => {
      if (phase === 'abort') await hangUp(each.path);
      const isFatal = phase === 'request' || phase === 'response';
      // in the short form the protocols take turns: what a hook may use up takes most of the time
      const protocols = inForm([PROTOCOLS[i % PROTOCOLS.length] ?? 'h1'], PROTOCOLS);
      for (const protocol of protocols) {
        const answer = await gateway.ask(protocol, `${each.path}/run`);
        assert.deepEqual([answer.status, answer.cut], [isFatal ? 500 : 200, false], protocol);
        if (!isFatal) assert.equal(answer.text, 'ok');
        else
          assert.ok(
            !answer.text.includes('hook failed') && answer.text.includes('500'),
            'the page tells nothing of the script',
          );
      }
      await untilLogged(each);
    });
  }
}

test('Behind all these faults nothing is open, and no state was given up', async () => {
  await gateway.untilIdle();
  assert.doesNotMatch(gateway.log, /State given up|fatal|Uncaught/i);
});

test('Faults in hooks "stop" are bounded and logged, and the gateway ends in order', async () => {
  gateway.process.child.kill('SIGTERM');
  for (const each of CASES.filter(({ phase }) => phase === 'stop')) await untilLogged(each);
  assert.equal((await gateway.process.ended).code, 0);
});

test('A hook before a request may read the body or a part of it, and may refuse one that it has not read', async () => {
  const other = await TestGateway.start({
    '/': `local httpd = require 'httpd'
      httpd.hook('request', function(env)
        local what = env.QUERY_INFO
        if what == 'first' then httpd.request().ctx.first = httpd.read(nil, 5) end
        if what == 'all' then httpd.exit(403, 'read ' .. #httpd.read(nil, 'a')) end
        if what == 'refuse' then httpd.exit(413, 'too much') end
        if what == 'after' then httpd.write(nil, 'whole') httpd.close(nil) httpd.write(nil, 'more') end
        if what == 'cut' then httpd.write(nil, ('x'):rep(100000)) error('failed late') end
      end)
      httpd.register_handler('/run', function()
        httpd.write(nil, (httpd.request().ctx.first or '') .. '|' .. (httpd.read(nil, 'a') or ''))
      end)`,
  });
  try {
    const body = 'first and the rest';
    const large = 'x'.repeat(1 << 20);
    for (const protocol of PROTOCOLS) {
      const ask = (query: string, sent: string) =>
        other.ask(protocol, `/run?${query}`, { method: 'POST', body: sent });
      assert.equal((await ask('first', body)).text, 'first| and the rest');
      assert.equal((await ask('first', '')).text, '|');
      const read = await ask('all', large);
      assert.deepEqual([read.status, read.text], [403, `read ${large.length}`]);
      const refused = await ask('refuse', body);
      assert.deepEqual([refused.status, refused.text], [413, 'too much']);
      const whole = await ask('after', body);
      assert.deepEqual(
        [whole.status, whole.text, whole.cut],
        [200, 'whole', false],
        'what comes behind the end is not sent',
      );
      const cut = await ask('cut', body);
      assert.ok(cut.cut, 'an answer that a hook has not finished does not look complete');
    }
    await other.untilLog(/failed late/);
    await other.untilIdle();
  } finally {
    await other.stop();
  }
});
