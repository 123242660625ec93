import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { AccountKey } from '../../src/acme/account-key.ts';
import { AcmeClient } from '../../src/acme/acme-client.ts';
import type { ChallengeType } from '../../src/settings/acme-settings.ts';
import { type ChallengeServer, startChallengeServer } from '../support/challenge-server.ts';
import { type Pebble, startPebble } from '../support/pebble-server.ts';

const SECRET = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';

describe('AcmeClient against Pebble', () => {
  let host: ChallengeServer;
  let pebble: Pebble;
  let bound: Pebble;

  before(async () => {
    host = await startChallengeServer();
    const { tlsPort, httpPort } = host;
    // a quarter of all nonces are refused
    pebble = await startPebble({ tlsPort, httpPort, nonceReject: 25 });
    bound = await startPebble({ tlsPort, externalAccounts: { 'kid-1': SECRET } });
  });
  after(async () => {
    await Promise.all([pebble?.stop(), bound?.stop()]);
    await host?.stop();
  });

  const authorityOf = (server: Pebble) => ({
    directory: server.directory,
    trust: server.trust,
    email: 'operator@example.test',
    externalAccount: undefined,
  });
  const obtain = async (client: AcmeClient, names: string[], types: ChallengeType[] = ['tls-alpn-01']) => {
    try {
      return await client.obtain(names, types, host, new AbortController().signal);
    } finally {
      client.close();
    }
  };

  for (const type of ['tls-alpn-01', 'http-01'] as const)
    it(`obtains a certificate for two names by ${type}, and takes the answers back`, async () => {
      const client = new AcmeClient(authorityOf(pebble), AccountKey.make());
      const { certificate, key } = await obtain(client, ['one.example.test', 'two.example.test'], [type]);
      const own = new X509Certificate(certificate);
      assert.equal(own.subjectAltName, 'DNS:one.example.test, DNS:two.example.test');
      assert.match(key, /^-----BEGIN PRIVATE KEY-----/);
      assert.ok(certificate.split('BEGIN CERTIFICATE').length >= 3, 'the chain is there');
      assert.deepEqual(host.given.at(-1), []);
      assert.equal(host.given.at(-2)?.length, 2);
    });

  it('finds the account of a key again', async () => {
    const key = AccountKey.read(AccountKey.make().toPem());
    for (let i = 0; i < 2; i++)
      await obtain(new AcmeClient(authorityOf(pebble), key), ['again.example.test']);
  });

  it('tells why a name could not be seen, and takes the answers back', async () => {
    const silent = { answer: () => host.answer([]) };
    const client = new AcmeClient(authorityOf(pebble), AccountKey.make());
    await assert.rejects(
      client.obtain(['lost.example.test'], ['tls-alpn-01'], silent, new AbortController().signal),
      /The authority could not see that lost\.example\.test is served here: .+\((unauthorized|connection|tls)\)/,
    );
    client.close();
  });

  it('binds the account to an external one, and says so where its key is missing or wrong', async () => {
    const authority = authorityOf(bound);
    await assert.rejects(
      obtain(new AcmeClient(authority, AccountKey.make()), ['bound.example.test']),
      /wants an account that you have with it already: give its key with --acme-eab-id/,
    );
    const withSecret = (secret: string) => ({
      ...authority,
      externalAccount: { keyId: 'kid-1', secret: Buffer.from(secret, 'base64url') },
    });
    await assert.rejects(
      obtain(new AcmeClient(withSecret('AAAA'), AccountKey.make()), ['bound.example.test']),
      /The ACME server refused the request to .+ with 4\d\d/,
    );
    await obtain(new AcmeClient(withSecret(SECRET), AccountKey.make()), ['bound.example.test']);
  });

  it('ends at once when it is told to', async () => {
    const stopped = new AbortController();
    const client = new AcmeClient(authorityOf(pebble), AccountKey.make());
    const slow = {
      answer: async () => {
        stopped.abort(new Error('the gateway ends'));
      },
    };
    await assert.rejects(
      client.obtain(['slow.example.test'], ['tls-alpn-01'], slow, stopped.signal),
      /the gateway ends/,
    );
    client.close();
  });

  it('trusts no server whose certificate is of nobody known', async () => {
    const client = new AcmeClient({ ...authorityOf(pebble), trust: undefined }, AccountKey.make());
    await assert.rejects(obtain(client, ['a.example.test']), /Cannot ask the ACME server at .+: self.signed/);
  });
});
