/** A listener that leads its clients to TLS: the same host and target, and never another host. */
import { deepEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { redirectToSecure } from '../../../src/http/routing/secure-redirect.ts';
import { connectPlain } from '../../support/raw-client.ts';
import { startFrontEnd, type TestFrontEnd } from '../../support/test-front-end.ts';

const fronts = new Map<number, TestFrontEnd>();

before(async () => {
  for (const port of [443, 8443]) {
    const front = await startFrontEnd(
      {},
      {
        cleartext: true,
        handle: (exchange) =>
          redirectToSecure(exchange, port, (served) => {
            served.head(200, ['x-served', served.target]);
            served.end();
          }),
      },
    );
    fronts.set(port, front);
  }
});
after(() => Promise.all([...fronts.values()].map((front) => front.stop())));

/** Status, and where it leads. */
async function ask(port: number, request: string): Promise<readonly [number, string | undefined]> {
  const client = await connectPlain(fronts.get(port)?.port ?? 0);
  client.send(`${request}Connection: close\r\n\r\n`);
  const text = (await client.rest()).toString('latin1');
  return [Number(text.slice(9, 12)), /^(?:location|x-served): (.*)\r$/im.exec(text)?.[1]];
}

test('redirectToSecure() leads to the same host and target at the port that speaks TLS', async () => {
  for (const [port, head, expected] of [
    [443, 'GET /a?b=c HTTP/1.1\r\nHost: a.test\r\n', [301, 'https://a.test/a?b=c']],
    [8443, 'GET / HTTP/1.1\r\nHost: A.TEST.:80\r\n', [301, 'https://a.test:8443/']],
    [8443, 'HEAD / HTTP/1.1\r\nHost: [::1]:8080\r\n', [301, 'https://[::1]:8443/']],
    [443, 'POST /f HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n', [308, 'https://a.test/f']],
    [443, 'GET http://b.test/x HTTP/1.1\r\nHost: b.test\r\n', [301, 'https://b.test/x']],
    // these stay on the host: no client leaves an absolute address by its path
    [443, 'GET //evil.test/ HTTP/1.1\r\nHost: a.test\r\n', [301, 'https://a.test//evil.test/']],
    [443, 'GET /\\evil.test HTTP/1.1\r\nHost: a.test\r\n', [301, 'https://a.test/\\evil.test']],
  ] as const)
    deepEqual(await ask(port, head), expected, head);
});

test('redirectToSecure() leads nowhere without a host and a path', async () => {
  for (const head of [
    'GET / HTTP/1.0\r\n',
    'GET / HTTP/1.1\r\nHost: a@b.test\r\n',
    'GET / HTTP/1.1\r\nHost: a.test/evil\r\n',
    'GET / HTTP/1.1\r\nHost: \r\n',
    'OPTIONS * HTTP/1.1\r\nHost: a.test\r\n',
  ])
    deepEqual(await ask(443, head), [400, undefined], head);
});

test('redirectToSecure() leaves the challenges of ACME to who serves them', async () => {
  const path = '/.well-known/acme-challenge/token';
  deepEqual(await ask(443, `GET ${path} HTTP/1.1\r\nHost: a.test\r\n`), [200, path]);
  deepEqual(await ask(443, 'GET /.well-known/acme-challenge HTTP/1.1\r\nHost: a.test\r\n'), [
    301,
    'https://a.test/.well-known/acme-challenge',
  ]);
});
