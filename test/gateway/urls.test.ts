/** Which handler a target reaches: lhttpd's table row by row, and what lgateway adds where lhttpd has only 404. */
import assert from 'node:assert/strict';
import type { ClientHttp2Session } from 'node:http2';
import { after, before, test } from 'node:test';
import { askSession, PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

/** Answers `prefix handler query`; the state with `/notfound` gives it its own status. */
const script = (names: readonly string[], more = ''): string => `local httpd = require 'httpd'
for _, name in ipairs{${names.map((name) => `'${name}'`).join(', ')}} do
    httpd.register_handler(name, function(env)
        httpd.header{[':status'] = '200'}
        httpd.write(nil, env.SCRIPT_PREFIX .. ' ' .. env.HANDLER_NAME .. ' ' .. tostring(env.QUERY_INFO))
    end)
end
${more}`;

const NOT_FOUND = `httpd.register_handler('/notfound', function(env)
    httpd.header{[':status'] = '404', ['content-type'] = 'text/plain'}
    httpd.write(nil, 'own ' .. env.SCRIPT_PREFIX .. ' ' .. env.HANDLER_NAME .. ' ' .. tostring(env.QUERY_INFO))
end)
httpd.register_handler('/bar', function() httpd.write(nil, 'the second of one name') end)`;

const NAMES = ['/', '/bar', '/bar/baz', '/js', '/foo'];
const BUILT_IN = 'built-in 404';

/** Target → `prefix handler query`, `own …` of a /notfound handler, or BUILT_IN. */
const LHTTPD_ROWS: readonly (readonly [string, string])[] = [
  ['/', '/ / nil'],
  ['/js', '/ /js nil'],
  ['/js?x=1', '/ /js x=1'],
  ['/js?', '/ /js '],
  ['/foo', '/ /foo nil'],
  ['/foo?x', '/ /foo x'],
  ['/foo/', '/foo / nil'],
  ['/foo/?x', '/foo / x'],
  ['/foo/bar', '/foo /bar nil'],
  ['/foo/BAR', 'own /foo /notfound nil'],
  ['/foo/bar/', 'own /foo /notfound nil'],
  ['/foo/bar/baz', '/foo /bar/baz nil'],
  ['/foo/bar?u=/a/b', '/foo /bar u=/a/b'],
  ['/foo/none?q', 'own /foo /notfound q'],
  ['//foo/bar', '/foo /bar nil'],
  ['///foo/bar', '/foo /bar nil'],
  ['/foo//bar', 'own /foo /notfound nil'],
  ['/x/y', BUILT_IN],
  ['/FOO/bar', BUILT_IN],
  ['/none', BUILT_IN],
  // lhttpd looks for the second slash in the query too
  ['/js?u=a/b', '/ /js u=a/b'],
  ['/?u=/x', '/ / u=/x'],
  ['/foo?u=/bar', '/ /foo u=/bar'],
];

const EXTENDED_ROWS: readonly (readonly [string, string])[] = [
  ['/a/b', '/a/b / nil'],
  ['/a/b/', '/a/b / nil'],
  ['/a/b/js', '/a/b /js nil'],
  ['/a/b/bar/baz?/', '/a/b /bar/baz /'],
  ['/a/b/c/js', '/a/b/c /js nil'],
  ['/a/bc/js', BUILT_IN],
  ['/only', '/only / nil'],
  ['/only?q', '/only / q'],
  ['/bar/baz', '/ /bar/baz nil'],
  ['/caf%C3%A9/%6As', '/caf\xc3\xa9 /js nil'],
  ['/%66oo/bar?%66', '/foo /bar %66'],
  ['/foo%2Fbar', '/foo /bar nil'],
  ['/foo/bar?a?b', '/foo /bar a?b'],
  ['/js%zz', BUILT_IN],
];

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start(
    {
      '/': script(NAMES),
      '/foo': script(NAMES, NOT_FOUND),
      '/a/b': script(NAMES),
      '/a/b/c': script(['/js']),
      only: script(['/']),
      '/café': script(['/js']),
    },
    { keeps: true },
  );
});
after(() => gateway.stop());

function describe(status: number, text: string): string {
  if (status === 404)
    return text.startsWith('own ') ? text : `built-in ${/<h1>(404) Not Found<\/h1>/.exec(text)?.[1]}`;
  return status === 200 ? text : `status ${status}`;
}

async function askBoth(session: ClientHttp2Session, target: string): Promise<string[]> {
  const text = await gateway.talk(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  const body = text.slice(text.indexOf('\r\n\r\n') + 4);
  const http2 = await askSession(session, target);
  return [describe(Number(text.slice(9, 12)), body), describe(http2.status, http2.text)];
}

for (const [title, rows] of [
  ["lgateway answers every row of lhttpd's table", LHTTPD_ROWS],
  [
    'lgateway finds deep prefixes, prefixes without slash, and encoded paths where lhttpd has none',
    EXTENDED_ROWS,
  ],
] as const) {
  test(title, async () => {
    const session = await gateway.session();
    for (const [target, wanted] of rows)
      assert.deepEqual([target, ...(await askBoth(session, target))], [target, wanted, wanted]);
    session.destroy();
    await gateway.untilIdle();
  });
}

test('lgateway takes targets that are no paths as what they are', async () => {
  const status = async (line: string): Promise<string> =>
    describeRaw(await gateway.talk(`${line}\r\nHost: localhost\r\nConnection: close\r\n\r\n`));
  assert.equal(await status('GET http://elsewhere/foo/bar?q HTTP/1.1'), '200 /foo /bar q');
  assert.equal(await status('GET https://elsewhere HTTP/1.1'), '200 / / nil');
  assert.equal(await status('OPTIONS * HTTP/1.1'), '204 ');
  assert.match(await status('GET * HTTP/1.1'), /^400 /);
  assert.match(await status('GET foo/bar HTTP/1.1'), /^40[04] /);
  assert.match(await status('GET /foo/bar%00 HTTP/1.1'), /^400 /);
  assert.match(await status('CONNECT localhost:1 HTTP/1.1'), /^(?:405|501) /);
  // a fragment never belongs in a target: some parsers drop it, ours may refuse it, no handler of another name runs
  assert.match(await status('GET /foo/bar#f HTTP/1.1'), /^40[04] /);
});

test('lgateway answers OPTIONS * itself and leaves OPTIONS of a path to its handler', async () => {
  for (const protocol of PROTOCOLS) {
    const server = await gateway.ask(protocol, '*', { method: 'OPTIONS' });
    const { status, headers, text } = server;
    assert.deepEqual([status, text], [204, ''], protocol);
    assert.match(headers['allow'] ?? '', /\bGET, HEAD, POST\b.*\bOPTIONS\b/);
    assert.equal(headers['content-length'], undefined);
    const path = await gateway.ask(protocol, '/foo/bar', { method: 'OPTIONS' });
    assert.deepEqual([path.status, path.text, path.headers['allow']], [200, '/foo /bar nil', undefined]);
  }
  await gateway.untilIdle();
});

test('lgateway knows the same methods over every protocol', async () => {
  const lines = await gateway.talk('FOO /foo/bar HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  assert.match(lines, /^HTTP\/1\.1 501 /);
  for (const method of ['FOO', 'get', 'X-1'])
    assert.equal((await gateway.ask('h2', '/foo/bar', { method })).status, 501, method);
  for (const protocol of PROTOCOLS) {
    const answer = await gateway.ask(protocol, '/foo/bar', { method: 'M-SEARCH' });
    assert.deepEqual([answer.status, answer.text], [200, '/foo /bar nil'], protocol);
  }
});

test('lgateway gives a handler every method', async () => {
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'])
    for (const protocol of ['h1', 'h2'] as const) {
      const answer = await gateway.ask(protocol, '/foo/bar', { method });
      assert.deepEqual([method, answer.status, answer.text], [method, 200, '/foo /bar nil']);
    }
});

function describeRaw(text: string): string {
  return `${text.slice(9, 12)} ${text.slice(text.indexOf('\r\n\r\n') + 4)}`;
}
