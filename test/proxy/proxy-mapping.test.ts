/** A mapping of other servers: it checks them as its settings say, and reads the authorities of their certificates from a file. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { readProxyMapping } from '../../src/mapping/proxy-options.ts';
import { Proxies } from '../../src/proxy/proxies.ts';
import { ProxyMapping, withCertificates } from '../../src/proxy/proxy-mapping.ts';
import { calmTest as test } from '../support/calm.ts';
import { testCertificate } from '../support/certificate.ts';
import { ask } from '../support/proxy-client.ts';
import { startFrontEnd, type TestFrontEnd, waitFor } from '../support/test-front-end.ts';
import { plainUpstream, tlsUpstream } from '../support/upstream.ts';

const warnings: string[] = [];
const LOGGER = {
  level: 'warn',
  error() {},
  warn: (message: string) => void warnings.push(message),
  info() {},
  debug() {},
} as const;

let front: TestFrontEnd;
let proxies: Proxies;
let mapping: ProxyMapping | undefined;

before(async () => {
  front = await startFrontEnd({}, { handle: (exchange) => mapping?.handle(exchange) });
  proxies = new Proxies(front.counters, 1);
});

after(async () => {
  proxies.stop();
  await front.stop();
});

async function pass(...[place, targets, options]: Parameters<typeof readProxyMapping>): Promise<void> {
  const settings = await withCertificates(readProxyMapping(place, targets, options));
  mapping = new ProxyMapping({ place, settings, proxies, logger: LOGGER });
}

test('A mapping checks its servers', async () => {
  const asked: string[] = [];
  const upstream = await plainUpstream((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.end('well');
  });
  await pass({ prefix: '/' }, upstream.url, { health: { path: '/up', intervalMs: 100 } });
  await waitFor(() => asked.filter((one) => one === 'GET /up').length >= 2, 'two checks');
  assert.equal((await ask('h1', front.port, '/x')).body, 'well');
  await upstream.close();
});

test('A mapping reads the authorities from a file, and says what is wrong with it', async () => {
  const upstream = await tlsUpstream((_request, response) => response.end('secure'));
  const { certPath } = testCertificate();
  await pass({ prefix: '/' }, upstream.url, {});
  const refused = await ask('h1', front.port, '/');
  assert.equal(refused.status, 502);
  // others follow it where the server is found to be down
  assert.match(
    warnings.join('\n'),
    /self-signed certificate .*the option tls\.ca, or --proxy-ca, names the authority/,
  );
  await pass({ prefix: '/' }, upstream.url, { tls: { ca: certPath, servername: 'other.example' } });
  assert.equal((await ask('h1', front.port, '/')).status, 502);
  assert.match(warnings.join('\n'), /altnames.*the option tls\.servername, or --proxy-servername/);
  await pass({ prefix: '/' }, upstream.url, { tls: { ca: certPath } });
  assert.equal((await ask('h1', front.port, '/')).body, 'secure');
  await assert.rejects(pass({ prefix: '/' }, upstream.url, { tls: { ca: '/nowhere/ca.pem' } }), {
    code: 'LGW_CONFIG',
    message: /^Cannot read the certificates "\/nowhere\/ca\.pem" for \/: ENOENT/,
  });
  await upstream.close();
});

test('A mapping refuses options that are none, by name', () => {
  for (const [options, message] of [
    [
      { headers: { a: Array.from({ length: 1001 }, () => 'x') } },
      /^Option headers of a proxy has 1001 fields and the limit is 1000$/,
    ],
    [{ balance: 'x' }, /^Option balance of a proxy is "x" and has to be "random2", "least" or "hash"$/],
    [{ health: { path: 'x' } }, /^Option health\.path .* a path that begins with a slash/],
    [
      { health: { every: 1 } },
      /^Option health\.every .* one of path, intervalMs, timeoutMs, status, fall, rise$/,
    ],
    [
      { timeouts: { headMs: 0 } },
      /^Option timeouts\.headMs of a proxy is 0 and has to be a number of milliseconds above 0$/,
    ],
    [{ tls: { servername: 'a b' } }, /^Option tls\.servername /],
    [{ retries: 1.5 }, /^Option retries .* a whole number from 0 to 8$/],
  ] as const)
    assert.throws(() => readProxyMapping({ prefix: '/' }, 'http://a', options as object), {
      code: 'LGW_CONFIG',
      message,
    });
  assert.throws(
    () => readProxyMapping({ prefix: '/' }, [{ url: 'http://a', weight: 101 }], {}),
    /Option weight /,
  );
});
