/** The gateway obtains its certificates from Pebble, which looks at the names by the gateway's own listeners. */
import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { get } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { freePorts } from '../support/free-ports.ts';
import { type Pebble, startPebble } from '../support/pebble-server.ts';
import { GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';

const NAMES = ['one.example.test', 'two.example.test'];

/** The certificate that a client gets who asks for `name`; `protocols`: of ALPN. */
function certificateOf(
  port: number,
  name: string,
  protocols: string[] = ['http/1.1'],
): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, servername: name, rejectUnauthorized: false };
    const socket = connect({ ...options, ALPNProtocols: protocols }, () => {
      const certificate = socket.getPeerX509Certificate();
      socket.destroy();
      if (certificate === undefined) reject(new Error('no certificate'));
      else resolve(certificate);
    });
    socket.on('error', reject);
  });
}

function statusOf(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, headers: { host: NAMES[0] }, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on('error', reject);
  });
}

describe('--acme', () => {
  const folder = new GatewayFolder();
  const started: GatewayProcess[] = [];
  let port = 0;
  let httpPort = 0;
  let pebble: Pebble;

  before(async () => {
    [port = 0, httpPort = 0] = await freePorts(2);
    pebble = await startPebble({ tlsPort: port, httpPort });
  });
  after(async () => {
    for (const gateway of started) await gateway.stop();
    await pebble?.stop();
    folder.remove();
  });

  async function start(words: readonly string[]): Promise<GatewayProcess> {
    const acme = [
      ...['--acme-directory', pebble.directory, '--acme-ca', folder.certificate],
      ...['--acme-folder', folder.file('acme'), '--acme-email', 'operator@example.test'],
    ];
    const gateway = new GatewayProcess(folder, ['-p', String(port), '-a', '127.0.0.1', ...acme, ...words]);
    started.push(gateway);
    return await gateway.ready();
  }
  const serves = (gateway: GatewayProcess) =>
    gateway.until(() => /certificate for .+ serves; it is renewed on/.test(gateway.stderr));
  const end = async (gateway: GatewayProcess): Promise<void> => {
    gateway.signal('SIGTERM');
    await gateway.ended;
  };

  test('obtains a certificate by tls-alpn-01 at its listener, serves it in all workers, finds it at the next start, and keeps it over a reload', async () => {
    const gateway = await start(['--acme', NAMES.join(','), '-w', '2']);
    await serves(gateway);
    for (const name of [...NAMES, ...NAMES, ...NAMES]) {
      const certificate = await certificateOf(port, name);
      assert.match(certificate.issuer, /Pebble/);
      assert.ok(certificate.checkHost(name));
    }
    await assert.rejects(
      certificateOf(port, 'one.example.test', ['acme-tls/1']),
      'nobody looks at names now',
    );
    await end(gateway);
    const again = await start(['--acme', NAMES.join(','), '-w', '1']);
    assert.match((await certificateOf(port, 'one.example.test')).issuer, /Pebble/);
    assert.doesNotMatch(again.stderr, /Obtaining/);
    again.signal('SIGHUP');
    await again.until(() => /[Rr]eloaded/.test(again.stderr));
    assert.match((await certificateOf(port, 'one.example.test')).issuer, /Pebble/);
    await end(again);
  });

  test('obtains one by http-01 at the listener that leads clients to TLS', async () => {
    const words = ['--acme', 'three.example.test', '--acme-challenge', 'http-01', '-w', '1'];
    const gateway = await start([...words, '--http-redirect', `127.0.0.1:${httpPort}`]);
    await serves(gateway);
    assert.match((await certificateOf(port, 'three.example.test')).issuer, /Pebble/);
    assert.equal(await statusOf(httpPort, '/.well-known/acme-challenge/unknown'), 404);
    await end(gateway);
  });

  test('serves with a certificate of its own while the authority cannot see the name, and says why', async () => {
    const challenge = ['--acme-challenge', 'http-01', '--http', '127.0.0.1:0'];
    const words = ['--acme', 'four.example.test', ...challenge, '-w', '1'];
    const gateway = await start(words);
    await gateway.until(() => /No certificate for four\.example\.test/.test(gateway.stderr));
    assert.match(
      gateway.stderr,
      /could not see that four\.example\.test is served here: .+; asking again at/,
    );
    const certificate = await certificateOf(port, 'four.example.test');
    assert.match(certificate.issuer, /lgateway temporary certificate/);
    await end(gateway);
  });
});
