/** Strict-Transport-Security: in each answer over TLS that has none of its own, and in no other. */
import { deepEqual, equal } from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { after, before, test } from 'node:test';
import { connectPlain, connectSecure, type RawClient } from '../../support/raw-client.ts';
import { type HandlerFunction, startFrontEnd, type TestFrontEnd } from '../../support/test-front-end.ts';

const VALUE = 'max-age=300; includeSubDomains';
const FIXED = Object.freeze(['content-length', '0']);
let front: TestFrontEnd;
let cleartext: TestFrontEnd;

const answer =
  (fields: readonly string[]): HandlerFunction =>
  (x) => {
    x.head(200, fields);
    x.end();
  };
const HANDLERS: Readonly<Record<string, HandlerFunction>> = {
  '/': answer(FIXED),
  '/own': answer(['STRICT-transport-security', 'max-age=0']),
};

before(async () => {
  front = await startFrontEnd(HANDLERS, { transportSecurity: VALUE });
  cleartext = await startFrontEnd(HANDLERS, { transportSecurity: VALUE, cleartext: true });
});
after(() => Promise.all([front.stop(), cleartext.stop()]));

/** The values of all answers over HTTP/1.1. */
async function ask(client: RawClient, paths: readonly string[]): Promise<string[]> {
  for (const [i, path] of paths.entries())
    client.send(
      `GET ${path} HTTP/1.1\r\nHost: a\r\n${i === paths.length - 1 ? 'Connection: close\r\n' : ''}\r\n`,
    );
  const text = (await client.rest()).toString('latin1');
  return [...text.matchAll(/^strict-transport-security: (.*)\r$/gim)].map(([, value = '']) => value);
}

test('Answers and error pages over TLS have it, once, unless the handler has given its own', async () => {
  const paths = ['/', '/', '/none', '/own'];
  deepEqual(await ask(await connectSecure(front.port), paths), [VALUE, VALUE, VALUE, 'max-age=0']);
  const session = connectHttp2(`https://127.0.0.1:${front.port}`, { rejectUnauthorized: false });
  for (const path of ['/', '/', '/', '/none', '/own']) {
    const request = session.request({ ':path': path });
    const [fields] = (await once(request, 'response')) as [Record<string, unknown>];
    request.resume();
    equal(fields['strict-transport-security'], path === '/own' ? 'max-age=0' : VALUE, path);
  }
  session.destroy();
});

test('Answers without TLS have none, also where the same head goes over TLS, and on a port that speaks TLS', async () => {
  deepEqual(await ask(await connectSecure(front.port), ['/']), [VALUE]);
  deepEqual(await ask(await connectPlain(cleartext.port), ['/', '/none']), []);
  deepEqual(await ask(await connectPlain(front.port), ['/']), []);
});

test('A change counts for the answers that follow', async () => {
  front.frontEnd.setTransportSecurity(undefined);
  deepEqual(await ask(await connectSecure(front.port), ['/', '/none']), []);
  front.frontEnd.setTransportSecurity(VALUE);
  deepEqual(await ask(await connectSecure(front.port), ['/']), [VALUE]);
});
