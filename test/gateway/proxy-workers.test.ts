/** What two real workers know of the servers behind proxies: in common, over reloads, and to be seen from outside. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Gateway, type GatewayMapping, startGateway } from '../../src/index.ts';
import { FAILURES_MAX } from '../../src/proxy/upstreams/health-row.ts';
import { testCertificate } from '../support/certificate.ts';
import { connectPlain } from '../support/raw-client.ts';
import { waitFor } from '../support/test-front-end.ts';
import { rawUpstream, tlsUpstream, type Upstream } from '../support/upstream.ts';

const WORKERS = 2;
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup';

const lines: string[] = [];
let folder: string;
let ca: string;
let failing: Upstream;
let well: Upstream;
let secure: Upstream;
let isFailing = true;
let gateway: Gateway;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-proxy-workers-'));
  ca = join(folder, 'authority.pem');
  copyFileSync(testCertificate('rsa').certPath, ca);
  failing = await rawUpstream((socket) =>
    socket.on('data', () => (isFailing ? socket.destroy() : socket.write(ANSWER))),
  );
  well = await rawUpstream((socket) => socket.on('data', () => socket.write(ANSWER)));
  secure = await tlsUpstream((_request, response) => response.end('secure'));
  const { certPath, keyPath } = testCertificate();
  gateway = await startGateway({
    listen: { address: '127.0.0.1', port: 0 },
    cleartext: { address: '127.0.0.1', port: 0 },
    certificateFiles: { certificate: certPath, key: keyPath },
    workers: WORKERS,
    mappings: mappings(),
    log: (line) => lines.push(line),
  });
});

after(async () => {
  await gateway?.stop();
  await Promise.all([failing?.close(), well?.close(), secure?.close()]);
  rmSync(folder, { recursive: true, force: true });
});

function mappings(): GatewayMapping[] {
  return [
    { prefix: '/both', proxy: [failing.url, well.url], retries: 0, balance: 'least' },
    { prefix: '/secure', proxy: secure.url, tls: { ca } },
  ];
}

/** The status of one request on a connection of its own, and which worker has got it, 1 and up. */
async function ask(target: string): Promise<readonly [status: number, worker: number]> {
  const before = gateway.counters().map(({ connectionsTotal }) => connectionsTotal);
  const client = await connectPlain(gateway.addresses[1]?.port ?? 0);
  try {
    client.send(`GET ${target} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    const { status } = await client.response();
    const now = gateway.counters().map(({ connectionsTotal }) => connectionsTotal);
    return [status, now.findIndex((count, i) => count !== before[i]) + 1];
  } finally {
    client.destroy();
  }
}

function known(url: string): ReturnType<Gateway['upstreams']>[number] | undefined {
  return gateway.upstreams().find(({ name }) => name === url);
}

test('Servers that a mapping names can be seen before a request has gone there', () => {
  const { healthy, inFlight, fails, checks } = known(well.url) ?? {};
  assert.deepEqual({ healthy, inFlight, fails, checks }, { healthy: true, inFlight: 0, fails: 0, checks: 0 });
  assert.deepEqual(
    gateway
      .upstreams()
      .map(({ mapping }) => mapping)
      .sort(),
    ['/both', '/both', '/secure'],
  );
});

test('Requests that fail take a server out for both workers, and the log says so once', async () => {
  // chance chooses the worker and, of two servers that are alike, the server
  for (let i = 0; i < 500 && (known(failing.url)?.fails ?? 0) < FAILURES_MAX; i++) await ask('/both');
  const { fails, healthy } = known(failing.url) ?? {};
  assert.deepEqual({ fails, healthy }, { fails: FAILURES_MAX, healthy: false });
  await waitFor(() => lines.some((line) => line.includes('Upstream is down')), 'the line in the log');
  assert.equal(lines.filter((line) => line.includes('Upstream is down')).length, 1);
  const askedIn = new Set<number>();
  for (let i = 0; i < 500 && askedIn.size < WORKERS; i++) {
    const [status, worker] = await ask('/both');
    assert.equal(status, 200);
    askedIn.add(worker);
  }
  assert.equal(askedIn.size, WORKERS, 'both workers were asked');
  isFailing = false;
});

test('A reload reads the authorities of a proxy again, and all workers hold to the changed file', async () => {
  const statuses = async (): Promise<ReadonlySet<number>> => {
    const seen = new Set<number>();
    const workers = new Set<number>();
    for (let i = 0; i < 500 && workers.size < WORKERS; i++) {
      const [status, worker] = await ask('/secure');
      seen.add(status);
      workers.add(worker);
    }
    return seen;
  };
  assert.deepEqual([...(await statuses())], [502]);
  copyFileSync(testCertificate().certPath, ca);
  assert.deepEqual([...(await statuses())], [502]);
  await gateway.reload();
  assert.deepEqual([...(await statuses())], [200]);
  rmSync(ca);
  await assert.rejects(
    gateway.reload(),
    /Cannot read the certificates ".*authority\.pem" for \/secure: ENOENT/,
  );
  assert.deepEqual([...(await statuses())], [200]);
});

test('A reload gives the rows back of servers that nobody names any more', async () => {
  copyFileSync(testCertificate().certPath, ca);
  await gateway.reload({ mappings: [{ prefix: '/both', proxy: well.url }, mappings()[1] as GatewayMapping] });
  await waitFor(() => known(failing.url) === undefined, 'the row to be given back');
  assert.deepEqual(
    gateway
      .upstreams()
      .map(({ name }) => name)
      .sort(),
    [well.url, secure.url].sort(),
  );
});
