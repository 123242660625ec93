/** The gateway's own pages: what they say in addition to status and reason. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorPage } from '../../../src/http/exchange/error-response.ts';
import { connectPlain } from '../../support/raw-client.ts';
import { startFrontEnd } from '../../support/test-front-end.ts';

function textOf(status: number, id?: string): string {
  return Buffer.from(errorPage(status, id).body).toString('latin1');
}

test('503 says that it will not last and when to come again, with an id and without', () => {
  for (const id of [undefined, 'abc-1']) {
    const { fields } = errorPage(503, id);
    assert.equal(fields[fields.indexOf('retry-after') + 1], '1');
    assert.match(textOf(503, id), /will not last/);
  }
  assert.ok(!errorPage(500).fields.includes('retry-after'));
  assert.ok(!errorPage(413).fields.includes('retry-after'));
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
  const { fields, body } = errorPage(500, '<b>&');
  assert.equal(fields[fields.indexOf('content-length') + 1], String(body.length));
  assert.doesNotMatch(textOf(500, '<b>&'), /<b>/);
});
