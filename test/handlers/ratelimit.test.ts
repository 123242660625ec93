/** lgateway.ratelimit over sockets: who is limited, over which time, what the fields say, and that no client costs more than its counter. */
import assert from 'node:assert/strict';
import type { ClientHttp2Session } from 'node:http2';
import { after, before, test } from 'node:test';
import { refusesOptions } from '../support/library-options.ts';
import { ScriptHarness } from '../support/script-harness.ts';
import { inForm } from '../support/test-form.ts';
import { type Answer, askSession, PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

/** The clock of the scripts is what the query says, so that no test waits. */
const CLOCK = `local httpd = require 'httpd'
  local clock = 0
  httpd.now = function() return clock end
  httpd.hook('request', function(env) local now = httpd.query(env).now if now then clock = tonumber(now) end end)`;

const SCRIPTS = {
  '/slides': `${CLOCK}
    require 'lgateway.ratelimit'.use {limit = 10, window = 60, key = function(env, header) return header['x-key'] end}
    httpd.register_handler('/run', function() httpd.write(nil, 'done') end)
    httpd.register_handler('/client', function(env) httpd.write(nil, env.CLIENT_ADDR) end)`,
  '/bucket': `${CLOCK}
    require 'lgateway.ratelimit'.use {limit = 60, window = 60, burst = 5, key = function(_, header) return header['x-key'] end}
    httpd.register_handler('/run', function() httpd.write(nil, 'done') end)`,
  '/two': `${CLOCK}
    local ratelimit = require 'lgateway.ratelimit'
    ratelimit.use {name = 'burst', limit = 2, window = 60, key = function() return 7 end}
    ratelimit.use {name = 'day', limit = 100, window = 86400, key = function() return '' end}
    httpd.register_handler('/run', function() httpd.header {status = 200, RateLimit = {'"own";r=1', '"more";r=2'}} end)`,
  '/silent': `${CLOCK}
    require 'lgateway.ratelimit'.use {limit = 1, fields = false}
    httpd.register_handler('/run', function() httpd.write(nil, 'done') end)`,
  '/wrong-key': `require 'lgateway.ratelimit'.use {limit = 1, key = function() return {} end}
    require 'httpd'.register_handler('/run', function() require 'httpd'.write(nil, 'done') end)`,
  '/small': `${CLOCK}
    require 'lgateway.ratelimit'.use {limit = 3, dictionary = 'small', key = function(env) return httpd.query(env).key end}
    httpd.register_handler('/run', function() httpd.write(nil, 'done') end)
    httpd.register_handler('/many', function() end)
    httpd.register_handler('/count', function() httpd.write(nil, tostring(#httpd.shared('small'):keys(65536))) end)`,
};

let gateway: TestGateway;
/** Connections that are asked in turn: a handshake for each request would cost more than the requests. */
let sessions: readonly ClientHttp2Session[] = [];
const SESSIONS = 4;
let asked = 0;
/** Rounds of a hundred keys, which together are several times what the dictionary holds. */
const KEY_ROUNDS = inForm(15, 40);

before(async () => {
  gateway = await TestGateway.start(SCRIPTS, { workers: 2, words: ['--shared', 'small=64k'] });
  sessions = await Promise.all(Array.from({ length: SESSIONS }, () => gateway.session()));
});
after(() => gateway.stop());

let keys = 0;
/** A key that no other test has. */
function newKey(): string {
  keys += 1;
  return `key-${keys}`;
}

function ask(key: string, now: number, path = '/slides/run'): Promise<Answer> {
  asked += 1;
  const session = sessions[asked % SESSIONS] as ClientHttp2Session;
  return askSession(session, `${path}?now=${now}`, { headers: { 'x-key': key } });
}

/** Sends that many requests at once; how many were served. */
async function burst(key: string, now: number, count: number): Promise<number> {
  const answers = await Promise.all(Array.from({ length: count }, () => ask(key, now)));
  return answers.filter(({ status }) => status === 200).length;
}

test('As many requests as the limit are served over all workers, and the others get 429 with the time to wait', async () => {
  for (const protocol of PROTOCOLS) {
    const headers = { 'x-key': newKey() };
    for (let i = 1; i <= 10; i++) {
      const answer = await gateway.ask(protocol, '/slides/run?now=6000', { headers });
      assert.deepEqual(
        [answer.status, answer.headers['ratelimit'], answer.headers['ratelimit-policy']],
        [200, `"default";r=${10 - i};t=60`, '"default";q=10;w=60'],
      );
      assert.equal(answer.headers['retry-after'], undefined);
    }
    const refused = await gateway.ask(protocol, '/slides/run?now=6000', { headers });
    assert.deepEqual(
      [refused.status, refused.headers['ratelimit'], refused.headers['retry-after'], refused.text],
      // 60 s to the next window, and there until a tenth of this one has left the time that counts
      [429, '"default";r=0;t=66', '66', 'Too many requests\n'],
    );
  }
  const headers = { 'x-key': newKey() };
  const crowd = Array.from({ length: 40 }, () => gateway.ask('h1', '/slides/run?now=6000', { headers }));
  assert.equal((await Promise.all(crowd)).filter(({ status }) => status === 200).length, 10);
});

test('Who waits as long as it was told is served; a second sooner it is not', async () => {
  for (const [now, served] of [
    [6000, 10],
    [6030, 10],
    [6059, 3],
  ] as const) {
    const key = newKey();
    assert.equal(await burst(key, now, served), served);
    let refused: Answer | undefined;
    while (refused?.status !== 429) refused = await ask(key, now);
    const wait = Number(refused.headers['retry-after']);
    assert.equal((await ask(key, now + wait - 1)).status, 429, `${now}: ${wait} s`);
    assert.equal((await ask(key, now + wait)).status, 200, `${now}: ${wait} s`);
  }
});

test('The requests of the window before count as far as it lies in the last 60 seconds', async () => {
  const key = newKey();
  assert.equal(await burst(key, 6059, 10), 10);
  // ten of the window before count by three quarters: 7.5
  assert.equal(await burst(key, 6075, 10), 2);
  // and by a quarter: 2.5, with the two of this one
  assert.equal(await burst(key, 6105, 10), 5);
  assert.equal(await burst(key, 6300, 20), 10, 'all is forgotten');
});

test('A bucket lets as many through at once as it holds, and then as many as come back', async () => {
  const key = newKey();
  const served = async (now: number, count: number): Promise<number> => {
    const answers = await Promise.all(Array.from({ length: count }, () => ask(key, now, '/bucket/run')));
    return answers.filter(({ status }) => status === 200).length;
  };
  assert.equal(await served(6000, 30), 5);
  assert.equal(await served(6000, 3), 0);
  const refused = await ask(key, 6000, '/bucket/run');
  assert.deepEqual(
    [
      refused.status,
      refused.headers['retry-after'],
      refused.headers['ratelimit'],
      refused.headers['ratelimit-policy'],
    ],
    [429, '1', '"default";r=0;t=1', '"default";q=60;w=60'],
  );
  assert.equal(await served(6001, 10), 1);
  assert.equal(await served(6003, 10), 2);
  assert.equal((await ask(key, 6005, '/bucket/run')).headers['ratelimit'], '"default";r=1;t=4');
  // full again, and not more than that
  assert.equal(await served(7000, 10), 5);
});

test('Requests that were refused do not count', async () => {
  const key = newKey();
  assert.equal(await burst(key, 6000, 60), 10);
  assert.equal(await burst(key, 6090, 20), 5);
});

test('A clock that goes back or leaps forward limits nobody for longer than two windows', async () => {
  const key = newKey();
  assert.equal(await burst(key, 600_000, 20), 10);
  assert.equal(await burst(key, 0, 20), 10, 'back by a week');
  assert.equal(await burst(key, 0, 20), 0);
  assert.equal(await burst(key, 600_000, 20), 0, 'forth again: what was counted is still there');
  assert.equal(await burst(key, 600_120, 20), 10);
  assert.equal(await burst(key, -1000, 20), 10, 'before 1970');
  assert.equal(await burst(key, 1e15, 20), 10);
});

test('Each key has its own counter, however it is written, and without a key there is no limit', async () => {
  const key = newKey();
  assert.equal(await burst(key, 6000, 11), 10);
  for (const other of [
    `${key}:`,
    `${key}:100`,
    `${key} `.trim().toUpperCase(),
    'k'.repeat(5000),
    `${'k'.repeat(5000)}2`,
    'default',
  ])
    assert.equal(await burst(other, 6000, 11), 10, other.slice(0, 20));
  const answers = await Promise.all(
    Array.from({ length: 30 }, () => gateway.ask('h1', '/slides/run?now=6000')),
  );
  assert.ok(answers.every(({ status, headers }) => status === 200 && headers['ratelimit'] === undefined));
});

test('Several policies hold at once, and their fields stand beside those of the handler', async () => {
  const first = await gateway.ask('h1', '/two/run?now=960');
  assert.equal(first.headers['ratelimit'], '"own";r=1, "more";r=2, "burst";r=1;t=60, "day";r=99;t=85440');
  assert.equal(first.headers['ratelimit-policy'], '"burst";q=2;w=60, "day";q=100;w=86400');
  assert.equal((await gateway.ask('h1', '/two/run?now=960')).status, 200);
  const refused = await gateway.ask('h1', '/two/run?now=960');
  assert.deepEqual(
    [refused.status, refused.headers['ratelimit'], refused.headers['retry-after']],
    [429, '"burst";r=0;t=90', '90'],
  );
});

test('Without a function the address of the client is its key, each mapping counts for itself, and fields can be left out', async () => {
  const answer = await gateway.ask('h2', '/silent/run?now=1000');
  assert.deepEqual([answer.status, answer.headers['ratelimit']], [200, undefined]);
  const refused = await gateway.ask('h2', '/silent/run?now=1000');
  assert.deepEqual(
    [refused.status, refused.headers['ratelimit'], refused.headers['retry-after']],
    [429, undefined, '80'],
  );
});

test('A function that returns no key gives 500, and not a request without limit', async () => {
  assert.equal((await gateway.ask('h1', '/wrong-key/run')).status, 500);
  await gateway.untilLog(/"key" of ratelimit has to return a string or an integer, got table/);
});

test('Thousands of keys stay within the memory of the dictionary, and the limit of who comes often holds meanwhile', async () => {
  const session = await gateway.session();
  const send = (key: string): Promise<Answer> => askSession(session, `/small/run?now=1000&key=${key}`);
  const statuses: number[] = [];
  for (let i = 0; i < KEY_ROUNDS; i++) {
    statuses.push((await send('often')).status);
    const others = await Promise.all(
      Array.from({ length: 100 }, (_, n) => send(`${'long'.repeat(50)}${i}-${n}`)),
    );
    assert.ok(others.every(({ status }) => status === 200));
  }
  session.destroy();
  assert.deepEqual(statuses, [200, 200, 200, ...Array.from({ length: KEY_ROUNDS - 3 }, () => 429)]);
  const count = Number((await gateway.ask('h1', '/small/count')).text);
  assert.ok(count > 100 && count < 1000, `${count} counters in 64 KiB`);
});

const LIMIT = 'option "limit" has to be an integer from 1 to 1000000000';
const WINDOW = 'option "window" has to be 1 to 86400 seconds';
refusesOptions(
  'lgateway.ratelimit refuses options while the script is loaded',
  `local lib = require 'lgateway.ratelimit'`,
  [
    ['lib.use()', 'ratelimit needs a table of options, got nil'],
    ['lib.use {}', LIMIT],
    ['lib.use {limit = 0}', LIMIT],
    ['lib.use {limit = 1.5}', LIMIT],
    ['lib.use {limit = 1000000001}', LIMIT],
    ['lib.use {limit = 1, window = 0}', WINDOW],
    ['lib.use {limit = 1, window = 0/0}', WINDOW],
    ['lib.use {limit = 1, window = 86401}', WINDOW],
    [`lib.use {limit = 1, name = 'a"b'}`, 'option "name" has to be letters, digits, "_" and "-"'],
    [`lib.use {limit = 1, name = ('a'):rep(65)}`, 'option "name" has to be letters, digits, "_" and "-"'],
    [`lib.use {limit = 1, key = 'x'}`, 'option "key" of ratelimit has to be a function, got string'],
    [`lib.use {limit = 1, dictionary = 'a b'}`, /bad argument #1 to 'shared'/],
    [`lib.use {limit = 1, bust = 2}`, 'ratelimit has no option "bust"'],
    [`lib.use {limit = 1, burst = 0}`, 'option "burst" has to be an integer from 1 to 1000000000'],
    [`lib.use {limit = 1000000000, window = 86400, name = ('a'):rep(64)}`, /^nil$/],
  ],
);

/** Addresses, and whose they are. */
const CLIENTS: readonly (readonly [string, string])[] = [
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8:1:2::6', '2001:db8:1:2'],
  ['2001:db8::', '2001:db8:0:0'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['::', '0:0:0:0'],
  ['1::', '1:0:0:0'],
  ['1:2:3:4:5:6:7::', '1:2:3:4'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
];
test('All addresses of an IPv6 network of 64 bits are one client', async () => {
  const harness = await ScriptHarness.load(`local httpd = require 'httpd'
    local seen
    httpd.shared = function() return {incr = function(_, key) seen = key return 1 end, get = function() end} end
    local hook
    httpd.hook = function(phase, fn) if phase == 'request' then hook = fn end return true end
    require 'lgateway.ratelimit'.use {limit = 1}
    httpd.register_handler('/run', function(env, header)
      hook({CLIENT_ADDR = httpd.read(nil, 'a'), SCRIPT_PREFIX = '/'}, header)
      httpd.write(nil, (seen:match('^default%z/%z(.-)%z')))
    end)`);
  try {
    for (const [address, client] of CLIENTS)
      assert.equal((await harness.request('/run', { body: address })).text, client, address);
  } finally {
    await harness.close();
  }
});
