/** httpd.proxy in scripts: its results, its options, and what it refuses. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { calmTest as test } from '../support/calm.ts';
import { answering, type RecordingBackend, recordingBackend } from '../support/recording-backend.ts';
import { ScriptHarness } from '../support/script-harness.ts';
import { deadPort } from '../support/upstream.ts';

let backend: RecordingBackend;

before(async () => {
  backend = await recordingBackend(answering('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'));
});

after(() => backend.close());

/** The answer of a handler with this body. */
async function answerOf(body: string, options = {}): Promise<string> {
  const harness = await ScriptHarness.run(body, options);
  try {
    const text = await harness.output();
    await harness.expectNothingOpen();
    return text.trimEnd();
  } finally {
    await harness.close();
  }
}

const RESULTS = 'local r = table.pack(httpd.proxy';

test('httpd.proxy answers the client and returns the status and the bytes', async () => {
  const harness = await ScriptHarness.run(
    `local status, bytes = httpd.proxy('${backend.url}') httpd.log('info', status, bytes)`,
  );
  try {
    assert.equal(await harness.output(), 'hello');
    await harness.expectNothingOpen();
    assert.ok(
      harness.log.some((line) => line.includes('200') && line.includes('5')),
      harness.log.join('\n'),
    );
  } finally {
    await harness.close();
  }
});

test('httpd.proxy returns nil, message, code where nothing was sent, and the script answers', async () => {
  const port = await deadPort();
  assert.match(
    await answerOf(`${RESULTS}('http://127.0.0.1:${port}')) say(r[1], r[3]) say(r[2])`),
    /^nil refused\nCannot pass the request on to http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/,
  );
});

test('httpd.proxy takes its options', async () => {
  await answerOf(
    `httpd.proxy({{url = '${backend.url}', weight = 2}}, {path = '/other?y', host = 'inner.example', timeout = {head = 9, idle = 9}, retries = 0, forwarded = 'rfc7239',
      headers = {['X-Set'] = 'a', ['X-Two'] = {'1', '2'}, cookie = false}})`,
  );
  const { head } = backend.requests.at(-1) ?? { head: '' };
  assert.match(head, /^GET \/other\?y HTTP\/1\.1\r\nHost: inner\.example\r\n/);
  assert.match(head, /\r\nX-Set: a\r\n/);
  assert.match(head, /\r\nX-Two: 1\r\nX-Two: 2\r\n/);
  assert.match(head, /\r\nForwarded: for=[^\r]+;proto=https?/);
  assert.doesNotMatch(head, /X-Forwarded/);
});

for (const [what, call, expected] of [
  ['a target that is none', `httpd.proxy('ftp://x')`, /^nil Cannot use "ftp:\/\/x" as a target.* invalid$/],
  [
    'a weight that is none',
    `pcall(httpd.proxy, {{url = 'http://a', weight = 0}})`,
    /"weight" is 0 \(a whole number from 1 to 100/,
  ],
  ['a target without a url', `pcall(httpd.proxy, {{weight = 2}})`, /target 1 has no url/],
  ['an empty list', `pcall(httpd.proxy, {})`, /a list of 1 to 64 targets expected, and it has 0/],
  ['an unknown option', `pcall(httpd.proxy, '${'http://127.0.0.1:1'}', {foo = 1})`, /has no option "foo"/],
  [
    'a field that frames the message',
    `pcall(httpd.proxy, 'http://127.0.0.1:1', {headers = {['Content-Length'] = '1'}})`,
    /header "Content-Length" is the gateway's own/,
  ],
  [
    'a value with a line feed',
    `httpd.proxy('http://127.0.0.1:1', {headers = {a = 'b\\r\\nc: d'}})`,
    /^nil Value .* invalid$/,
  ],
  [
    'a path with a blank',
    `httpd.proxy('http://127.0.0.1:1', {path = '/a b'})`,
    /^nil .*option "path".* invalid$/,
  ],
  [
    'more retries than may be',
    `pcall(httpd.proxy, 'http://127.0.0.1:1', {retries = 9})`,
    /from 0 to 8 was expected/,
  ],
] as const)
  test(`httpd.proxy refuses ${what}`, async () => {
    assert.match(await answerOf(`say(${call})`), expected);
  });

test('A number as timeout holds for all tries together, and a table says each time by itself', async () => {
  const silent = [await recordingBackend(() => undefined), await recordingBackend(() => undefined)];
  const [one, other] = silent as [RecordingBackend, RecordingBackend];
  const first = 'balance = function() return 1 end';
  assert.match(
    await answerOf(
      `${RESULTS}({'${one.url}', '${other.url}'}, {timeout = 0.2, ${first}})) say(r[1], r[3]) say(r[2])`,
    ),
    /^nil timeout\nCannot pass the request on to .*: no answer within 200 ms$/,
  );
  assert.deepEqual([one.connections(), other.connections()], [1, 0]);
  assert.match(
    await answerOf(
      `${RESULTS}({'${one.url}', '${other.url}'}, {timeout = {head = 0.1, total = 5}, ${first}})) say(r[1], r[3]) say(r[2])`,
    ),
    /^nil timeout\nCannot pass the request on to .*: no answer within 100 ms$/,
  );
  assert.deepEqual([one.connections(), other.connections()], [2, 1]);
  for (const server of silent) await server.close();
});

test('httpd.upstreams tells how the servers are, and costs processor time', async () => {
  const dead = `http://127.0.0.1:${await deadPort()}`;
  const lines = await answerOf(`
    assert(#httpd.upstreams() == 0 and not pcall(httpd.upstreams, 1))
    for _ = 1, 3 do assert(not httpd.proxy('${dead}/base')) end
    for _, s in ipairs(httpd.upstreams()) do say(s.name, s.healthy, s.waiting, s.fails, s.checks, s.failed_checks) end`);
  assert.equal(lines, `${dead}/base false 0 3 0 0`);
});

test('httpd.proxy goes nowhere that --allow-connect does not name', async () => {
  assert.match(
    await answerOf(`say(httpd.proxy('${backend.url}'))`, { rights: { connect: ['public'] } }),
    /^nil .*not allowed.* denied$/,
  );
  assert.match(
    await answerOf(`say(httpd.proxy('unix:/run/x.sock'))`, { rights: { connect: ['public'] } }),
    /^nil .*not allowed.* denied$/,
  );
});
