/** Patterns and methods of handlers over real connections: which handler a target reaches, what it is given, what else clients get. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { LOSE_STATE } from '../support/lose-state.ts';
import { askSession, PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

const SHOW = `local httpd = require 'httpd'
local function show(env, header, params)
  local parts = {}
  for name, value in pairs(params or {}) do parts[#parts + 1] = name .. '=' .. value end
  table.sort(parts)
  httpd.header{[':status'] = env.HANDLER_NAME == '/notfound' and '404' or '200', ['content-type'] = 'text/plain'}
  httpd.write(nil, env.SCRIPT_PREFIX .. ' ' .. env.HANDLER_NAME .. (#parts > 0 and ' ' .. table.concat(parts, ' ') or ''))
end
`;

const ROOT = `${SHOW}
httpd.register_handler('/users/{id}', show, {methods = {'GET'}})
httpd.register_handler('/users/{name}', show, {methods = {'PUT'}})
httpd.register_handler('/users/me', show)
httpd.register_handler('/files/{rest...}', show)
httpd.register_handler('/a/{x}/c', show)
httpd.register_handler('/a/b/{rest...}', show)
httpd.register_handler('/app/{x}', show)
httpd.register_handler('/post', show, {methods = {'POST'}})
httpd.register_handler('/notfound', show)
httpd.register_handler('/lose', function() ${LOSE_STATE} end, {cpu = 0.1})
`;

const APP = `${SHOW}
httpd.register_handler('/', show)
httpd.register_handler('/{y}/z', show)
httpd.register_handler('/deep/{y}', show)
`;

let gateway: TestGateway;

before(async () => {
  gateway = await TestGateway.start({ '/': ROOT, '/app': APP }, { keeps: true });
});
after(() => gateway.stop());

const ROWS: readonly (readonly [target: string, answer: string])[] = [
  ['/users/7', '/ /users/{id} id=7'],
  ['/users/7?x=/me', '/ /users/{id} id=7'],
  ['/users/me', '/ /users/me'],
  ['/users/%6De', '/ /users/me'],
  ['/users/a%20b', '/ /users/{id} id=a b'],
  ['/users/%C3%A4', '/ /users/{id} id=\xc3\xa4'],
  ['/users/%ff%FE', '/ /users/{id} id=\xff\xfe'],
  ['/users/%7Bid%7D', '/ /users/{id} id={id}'],
  // decoded once
  ['/users/%2541', '/ /users/{id} id=%41'],
  ['/users/%zz', '/ /users/{id} id=%zz'],
  ['/users/a+b', '/ /users/{id} id=a+b'],
  // a slash is a slash, however it is written: no parameter has one
  ['/users/a%2Fb', '/ /notfound'],
  ['/files/a%2Fb', '/ /files/{rest...} rest=a/b'],
  ['/files%2Fa', '/ /files/{rest...} rest=a'],
  // dots are names as any other
  ['/users/..', '/ /users/{id} id=..'],
  ['/users/%2e%2E', '/ /users/{id} id=..'],
  ['/files/../../etc', '/ /files/{rest...} rest=../../etc'],
  // an empty segment is no parameter, and nothing is no rest
  ['/users/', '/ /notfound'],
  ['/users', '/ /notfound'],
  ['/users/7/', '/ /notfound'],
  ['/users//7', '/ /notfound'],
  ['/a//c', '/ /notfound'],
  ['/files', '/ /notfound'],
  ['/files/', '/ /notfound'],
  ['/files//', '/ /files/{rest...} rest=/'],
  ['/files//a', '/ /files/{rest...} rest=/a'],
  ['//users/7', '/ /users/{id} id=7'],
  // exact before parameter before rest
  ['/a/z/c', '/ /a/{x}/c x=z'],
  ['/a/b/c', '/ /a/b/{rest...} rest=c'],
  ['/a/b', '/ /notfound'],
  // the longest mapping first, its pattern before the pattern of a shorter one, and /notfound last
  ['/app', '/app /'],
  ['/app/', '/app /'],
  ['/app/q', '/ /app/{x} x=q'],
  ['/app/q/z', '/app /{y}/z y=q'],
  ['/app/deep/q', '/app /deep/{y} y=q'],
  ['/app/deep/z', '/app /deep/{y} y=z'],
  ['/app/q/r', '/ /notfound'],
];

for (const protocol of PROTOCOLS) {
  test(`A target reaches the handler of its pattern, with its parameters (${protocol})`, async () => {
    for (const [target, answer] of ROWS) {
      const { status, text } = await gateway.ask(protocol, target);
      assert.equal(text, answer, target);
      assert.equal(status, answer.endsWith('/notfound') ? 404 : 200, target);
    }
  });

  test(`Methods that no handler of a pattern has get 405 with Allow, OPTIONS 204, HEAD what GET gets (${protocol})`, async () => {
    for (const [method, target, status, allow] of [
      ['POST', '/users/7', 405, 'GET, HEAD, OPTIONS, PUT'],
      ['DELETE', '/users/7', 405, 'GET, HEAD, OPTIONS, PUT'],
      ['TRACE', '/users/7', 405, 'GET, HEAD, OPTIONS, PUT'],
      ['OPTIONS', '/users/7', 204, 'GET, HEAD, OPTIONS, PUT'],
      ['GET', '/post', 405, 'OPTIONS, POST'],
      ['HEAD', '/post', 405, 'OPTIONS, POST'],
      ['OPTIONS', '/post', 204, 'OPTIONS, POST'],
    ] as const) {
      const answer = await gateway.ask(protocol, target, { method });
      assert.equal(answer.status, status, `${method} ${target}`);
      assert.equal(answer.headers['allow'], allow, `${method} ${target}`);
      if (status === 204 || method === 'HEAD') assert.equal(answer.text, '');
    }
    const get = await gateway.ask(protocol, '/users/7');
    const head = await gateway.ask(protocol, '/users/7', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.text, '');
    assert.equal(head.headers['content-type'], get.headers['content-type']);
    assert.equal(
      (await gateway.ask(protocol, '/users/7', { method: 'PUT', body: 'x' })).text,
      '/ /users/{name} name=7',
    );
    // a handler without methods has them all
    assert.equal((await gateway.ask(protocol, '/users/me', { method: 'DELETE' })).text, '/ /users/me');
    assert.equal((await gateway.ask(protocol, '/users/me', { method: 'OPTIONS' })).text, '/ /users/me');
  });

  test(`Long and deep targets get an answer, and NUL is refused (${protocol})`, async () => {
    const long = 'x'.repeat(20_000);
    assert.equal((await gateway.ask(protocol, `/users/${long}`)).text, `/ /users/{id} id=${long}`);
    assert.equal(
      (await gateway.ask(protocol, `/files${'/'.repeat(20_000)}`)).text.length,
      '/ /files/{rest...} rest='.length + 19_999,
    );
    assert.equal(
      (await gateway.ask(protocol, '/a/b'.repeat(5000))).text.slice(0, 24),
      '/ /a/b/{rest...} rest=a/',
    );
    assert.equal((await gateway.ask(protocol, '/users/%00')).status, 400);
  });
}

test('A state that is lost is built anew with its patterns and methods', async () => {
  // one connection: no handshake has to wait for the worker
  const session = await gateway.session();
  const lost = askSession(session, '/lose');
  const around = await Promise.all(Array.from({ length: 20 }, (_, i) => askSession(session, `/users/${i}`)));
  for (const [i, { text }] of around.entries()) assert.equal(text, `/ /users/{id} id=${i}`);
  assert.equal((await lost).status, 500);
  session.destroy();
  await gateway.untilIdle();
  assert.equal((await gateway.ask('h2', '/users/8')).text, '/ /users/{id} id=8');
  assert.equal((await gateway.ask('h2', '/users/8', { method: 'POST', body: 'x' })).status, 405);
  assert.equal((await gateway.ask('h2', '/users/me')).text, '/ /users/me');
});

test('A reload takes patterns and methods away and brings others', async () => {
  writeFileSync(
    gateway.folder.file('script-0.lua'),
    `${SHOW}
    httpd.register_handler('/users/{id}', show, {methods = {'DELETE'}})
    httpd.register_handler('/people/{id}', show)`,
  );
  gateway.running.signal('SIGHUP');
  await gateway.untilLog(/Reloaded/);
  assert.equal((await gateway.ask('h2', '/people/1')).text, '/ /people/{id} id=1');
  const refused = await gateway.ask('h1', '/users/1');
  assert.equal(refused.status, 405);
  assert.equal(refused.headers['allow'], 'DELETE, OPTIONS');
  assert.equal((await gateway.ask('h2', '/a/z/c')).status, 404);
  assert.equal((await gateway.ask('h2', '/app/q/z')).text, '/app /{y}/z y=q');
  await gateway.untilIdle();
});
