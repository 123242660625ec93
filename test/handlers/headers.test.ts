/** lgateway.headers over sockets: the fields that every answer has, what scripts change of them, and what is refused. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { refusesOptions } from '../support/library-options.ts';
import { type Answer, PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

const DEFAULTS = {
  'content-security-policy':
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'referrer-policy': 'strict-origin-when-cross-origin',
  'strict-transport-security': 'max-age=31536000',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

let gateway: TestGateway;

before(async () => {
  gateway = await TestGateway.start(
    {
      '/usual': `local httpd = require 'httpd'
        require 'lgateway.headers'.use()
        httpd.register_handler('/run', function() httpd.write(nil, 'done') end)
        httpd.register_handler('/own', function()
          httpd.header {status = 200, ['X-Frame-Options'] = 'SAMEORIGIN', ['referrer-policy'] = {'origin', 'no-referrer'}}
        end)
        httpd.register_handler('/moved', function() httpd.redirect('/elsewhere') end)
        httpd.register_handler('/fails', function() error('x') end)
        httpd.register_handler('/notfound', function() httpd.exit(404) end)`,
      '/changed': `local httpd = require 'httpd'
        require 'lgateway.headers'.use {
          ['X-Frame-Options'] = false, ['X-Own'] = 'own', ['referrer-policy'] = 'no-referrer',
          ['content-security-policy'] = function(env, head)
            if env.QUERY_INFO == 'fail' then error('policy failed') end
            if env.QUERY_INFO == 'inject' then return 'a\\r\\nx-evil: 1' end
            if env.QUERY_INFO == 'none' then return nil end
            return "script-src 'nonce-" .. httpd.request().ctx.nonce .. "'"
          end,
        }
        httpd.register_handler('/run', function() httpd.request().ctx.nonce = 'abc' httpd.write(nil, 'done') end)`,
    },
    { words: ['--http', '127.0.0.1:0'], keeps: true },
  );
});
after(() => gateway.stop());

function securityFields({ headers }: Answer): Record<string, string> {
  return Object.fromEntries(
    Object.keys(DEFAULTS).flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])),
  );
}

test('Answers, redirects and pages of errors have the fields, over both protocols', async () => {
  for (const protocol of PROTOCOLS) {
    for (const [path, status] of [
      ['run', 200],
      ['moved', 302],
      ['fails', 500],
      ['nothing', 404],
    ] as const) {
      const answer = await gateway.ask(protocol, `/usual/${path}`);
      assert.equal(answer.status, status);
      assert.deepEqual(securityFields(answer), DEFAULTS, path);
    }
  }
});

test('What a handler has set itself stays', async () => {
  assert.deepEqual(securityFields(await gateway.ask('h2', '/usual/own')), {
    ...DEFAULTS,
    'x-frame-options': 'SAMEORIGIN',
    'referrer-policy': 'origin, no-referrer',
  });
});

test('A script changes fields, adds some, leaves some out and makes one for each answer', async () => {
  const answer = await gateway.ask('h1', '/changed/run');
  const { 'x-frame-options': _, ...others } = DEFAULTS;
  assert.deepEqual(securityFields(answer), {
    ...others,
    'content-security-policy': "script-src 'nonce-abc'",
    'referrer-policy': 'no-referrer',
  });
  assert.equal(answer.headers['x-own'], 'own');
  assert.equal((await gateway.ask('h1', '/changed/run?none')).headers['content-security-policy'], undefined);
});

test('A function that fails, or makes a value with a line end, gives 500 and no such field', async () => {
  for (const query of ['fail', 'inject']) {
    const answer = await gateway.ask('h1', `/changed/run?${query}`);
    assert.deepEqual([answer.status, answer.headers['x-evil']], [500, undefined], query);
  }
  await gateway.untilLog(/policy failed/);
  await gateway.untilLog(/holds a control character/);
});

test('Without TLS there is no strict-transport-security', async () => {
  const port = /Listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(gateway.log)?.[1];
  const response = await fetch(`http://127.0.0.1:${port}/usual/run`);
  assert.equal(await response.text(), 'done');
  assert.equal(response.headers.get('x-frame-options'), 'DENY');
  assert.equal(response.headers.get('strict-transport-security'), null);
});

const VALUE = 'has to be a string without control characters of at most 4096 bytes, a function, or false';
refusesOptions(
  'lgateway.headers refuses fields while the script is loaded',
  `local lib = require 'lgateway.headers'`,
  [
    ['lib.use("x")', 'headers needs a table of fields'],
    ['lib.use {"x"}', 'headers: names of fields were expected'],
    ['lib.use {["a b"] = "x"}', 'headers: names of fields were expected'],
    ['lib.use {["a\\r\\nb"] = "x"}', 'headers: names of fields were expected'],
    ['lib.use {a = "x\\r\\ny: z"}', `headers: the value of "a" ${VALUE}`],
    ['lib.use {a = 1}', `headers: the value of "a" ${VALUE}`],
    ['lib.use {a = true}', `headers: the value of "a" ${VALUE}`],
    ['lib.use {a = ("x"):rep(4097)}', `headers: the value of "a" ${VALUE}`],
    ['lib.use {["x-a"] = "1", ["X-A"] = "2"}', /the field "[xX]-[aA]" is given twice/],
    ['lib.use {["Content-Length"] = "1"}', 'headers cannot set the field "Content-Length"'],
    ['lib.use {status = "200"}', 'headers cannot set the field "status"'],
    ['lib.use {["set-cookie"] = "a=b"}', 'headers cannot set the field "set-cookie"'],
    [
      'local t = {} for i = 1, 25 do t["x-" .. i] = "x" end lib.use(t)',
      'headers: 33 fields were given and the limit is 32',
    ],
    ['local t = {} for i = 1, 24 do t["x-" .. i] = ("x"):rep(4096) end lib.use(t)', /^nil$/],
  ],
);
