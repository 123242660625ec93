import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseCommandLine } from '../../src/config/parse-command-line.ts';
import type { AcmeSettings } from '../../src/settings/acme-settings.ts';

function acmeOf(line: string): AcmeSettings | undefined {
  const result = parseCommandLine(line.split(' '));
  assert.ok(result.kind === 'run', JSON.stringify(result));
  return result.config.acme;
}

describe('--acme takes', () => {
  test('one certificate for each time, hosts in the form in which they are compared', () => {
    const acme = acmeOf('--acme A.example,www.a.example. --acme b.example');
    assert.deepEqual(acme?.orders, [['a.example', 'www.a.example'], ['b.example']]);
    assert.deepEqual(acme.challengeTypes, ['tls-alpn-01']);
    assert.equal(acme.directory, 'https://acme-v02.api.letsencrypt.org/directory');
  });

  for (const words of ['--http 80', '--http-redirect 80'])
    test(`http-01, too, with ${words}`, () => {
      assert.deepEqual(acmeOf(`--acme a.example ${words}`)?.challengeTypes, ['tls-alpn-01', 'http-01']);
    });

  test('an account that exists with the authority', () => {
    const acme = acmeOf('--acme a.example --acme-eab-id kid-1 --acme-eab-key key.txt');
    assert.deepEqual(acme?.externalAccount, { keyId: 'kid-1', keyFile: 'key.txt' });
  });
});

const REFUSED: readonly (readonly [line: string, message: RegExp])[] = [
  ['--acme *.example', /wants names of hosts .+ no addresses or wildcards, not "\*\.example"/],
  ['--acme 192.0.2.1', /wants names of hosts/],
  ['--acme [::1]', /wants names of hosts/],
  ['--acme a_b.example', /wants names of hosts/],
  ['--acme a.example,,b.example', /wants names of hosts/],
  [`--acme ${Array.from({ length: 101 }, (_, i) => `n${i}.example`).join(',')}`, /at most 100/],
  ['--acme a.example --acme b.example,a.example', /names a\.example twice/],
  ['--acme a.example --acme-directory http://acme.example/', /wants an https URL/],
  ['--acme a.example --acme-email nobody', /wants an address such as/],
  ['--acme a.example --acme-challenge dns-01', /wants one or both of tls-alpn-01, http-01/],
  [
    '--acme a.example --acme-challenge http-01',
    /names http-01, which .+ give --http or --http-redirect, too/,
  ],
  ['--acme a.example --acme-eab-id one', /go together/],
  ['--acme-email a@b.example', /goes with --acme, and no certificate is to be obtained/],
];

describe('--acme refuses', () => {
  for (const [line, message] of REFUSED)
    test(line.slice(0, 80), () => {
      const result = parseCommandLine(line.split(' '));
      assert.ok(result.kind === 'usage-error');
      assert.match(result.message, message);
    });
});
