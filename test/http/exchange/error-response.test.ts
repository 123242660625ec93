/** The gateway's own pages: what they say in addition to status and reason. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorPage } from '../../../src/http/exchange/error-response.ts';
import { connectH2, fetchH2 } from '../../support/h2-client.ts';
import { connectPlain, connectSecure } from '../../support/raw-client.ts';
import { startFrontEnd } from '../../support/test-front-end.ts';

function textOf(status: number, id?: string): string {
  return Buffer.from(errorPage(status, [], id).body).toString('latin1');
}

test('503 says that it will not last and when to come again, with an id and without', () => {
  for (const id of [undefined, 'abc-1']) {
    const { fields } = errorPage(503, [], id);
    assert.equal(fields[fields.indexOf('retry-after') + 1], '1');
    assert.match(textOf(503, id), /will not last/);
  }
  assert.ok(!errorPage(500, []).fields.includes('retry-after'));
  assert.ok(!errorPage(413, []).fields.includes('retry-after'));
});

test('505 names the versions that are spoken', async () => {
  const front = await startFrontEnd({}, { cleartext: true });
  const client = await connectPlain(front.port);
  client.send('GET / HTTP/2.0\r\nHost: a\r\n\r\n');
  await client.until((received) => received.includes('</html>'), 'the page');
  assert.match(
    client.received.toString('latin1'),
    /^HTTP\/1\.1 505 .*HTTP\/1\.0, HTTP\/1\.1 and HTTP\/2 are spoken here/s,
  );
  client.destroy();
  await front.stop();
});

test('A page has the length that it says, and speaks of no request but by an id that cannot be markup', () => {
  const { fields, body } = errorPage(500, [], '<b>&');
  assert.equal(fields[fields.indexOf('content-length') + 1], String(body.length));
  assert.doesNotMatch(textOf(500, '<b>&'), /<b>/);
});

const TYPES = {
  html: 'text/html; charset=utf-8',
  problem: 'application/problem+json',
  text: 'text/plain; charset=utf-8',
};

test('A page is made once for each form, and says that another client gets another one', () => {
  for (const [accept, type] of Object.entries({
    '*/*': TYPES.html,
    'application/json': TYPES.problem,
    'text/plain': TYPES.text,
  })) {
    const page = errorPage(404, ['accept', accept]);
    assert.equal(errorPage(404, ['Accept', accept]), page);
    assert.deepEqual(page.fields, [
      'content-type',
      type,
      'content-length',
      String(page.body.length),
      'vary',
      'accept',
    ]);
    assert.notEqual(errorPage(405, ['accept', accept]), page);
  }
});

test('A problem has status, title, hint and id, whatever bytes the id has, and so has a text', () => {
  const problem = (status: number, id?: string): unknown =>
    JSON.parse(
      Buffer.from(errorPage(status, ['accept', 'application/problem+json'], id).body).toString('latin1'),
    );
  assert.deepEqual(problem(404), { type: 'about:blank', title: 'Not Found', status: 404 });
  assert.deepEqual(problem(503, 'a"\n'), {
    type: 'about:blank',
    title: 'Service Unavailable',
    status: 503,
    detail: 'This will not last: please try again in a moment.',
    error_id: 'a"\n',
  });
  assert.equal(
    Buffer.from(errorPage(503, ['accept', 'text/plain'], 'abc-1').body).toString(),
    '503 Service Unavailable\nThis will not last: please try again in a moment.\nError id: abc-1\n',
  );
});

test('The gateway answers what it refuses in the form that the client wants, over HTTP/1.1 and HTTP/2', async () => {
  const front = await startFrontEnd({ '/fails': (exchange) => exchange.reset(500) });
  const session = await connectH2(front.port);
  for (const [accept, type] of [
    ['application/json, text/plain, */*', TYPES.problem],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', TYPES.html],
    ['text/plain', TYPES.text],
  ] as const)
    for (const [path, status] of [
      ['/absent', 404],
      ['/fails', 500],
    ] as const) {
      for (const method of ['GET', 'HEAD']) {
        const { headers, body } = await fetchH2(session, { ':path': path, ':method': method, accept });
        assert.deepEqual(
          [headers[':status'], headers['content-type'], headers['vary']],
          [status, type, 'accept'],
        );
        assert.equal(body.length, method === 'HEAD' ? 0 : Number(headers['content-length']));
      }
      const client = await connectSecure(front.port);
      client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\nAccept: ${accept}\r\n\r\n`);
      const answer = await client.response();
      assert.deepEqual([answer.status, answer.headers.get('content-type')], [status, type]);
      client.destroy();
    }
  session.destroy();
  await front.stop();
});
