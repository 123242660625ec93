/** What --allow-connect permits and refuses: words, names, patterns, and addresses in every notation. */
import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { test } from 'node:test';
import { parseConnectRules } from '../../src/base/connect-rules.ts';
import { ConnectPolicy, isPublicAddress } from '../../src/outbound/connect-policy.ts';

function policyOf(entries: string, lookup?: LookupFunction): ConnectPolicy {
  const rules = parseConnectRules(entries.split(','));
  assert.ok(rules !== undefined, entries);
  return new ConnectPolicy(rules, { lookup });
}

/** True when the name in the URL passes the policy. */
function passes(policy: ConnectPolicy, url: string): boolean {
  const { origin, pathname } = new URL(url);
  try {
    policy.check(origin, pathname);
    return true;
  } catch (error) {
    assert.match(
      String(error),
      /Cannot fetch ".*": connections there are not allowed \(see --allow-connect\)/,
    );
    return false;
  }
}

/** Makes a resolver with one answer. */
function answering(...addresses: string[]): LookupFunction {
  return (_name, options, callback) => {
    const found: LookupAddress[] = addresses.map((address) => ({
      address,
      family: address.includes(':') ? 6 : 4,
    }));
    if (options.all === true) callback(null, found);
    else callback(null, found[0]?.address ?? '', found[0]?.family);
  };
}

/** Resolves with the addresses that a connection to `origin` may use. */
function seen(policy: ConnectPolicy, origin: string): Promise<string[]> {
  const lookup = policy.lookupFor(origin);
  assert.ok(lookup !== undefined);
  return new Promise((resolve) => {
    lookup(new URL(origin).hostname, { all: true }, (error, found) => {
      if (error !== null) resolve([error.message]);
      else resolve((found as LookupAddress[]).map(({ address }) => address));
    });
  });
}

test('Entries of --allow-connect are read, and others are refused', () => {
  for (const good of [
    'all',
    'none',
    'public',
    'public,localhost:3000',
    'example.com,*.example.com:8443,10.0.0.1,10.0.0.1:80,::1,[::1]:80,[::1]',
    'bücher.example',
    '0x7f.1:80',
    'db_1.internal.:5432',
    'unix:/run/x.sock',
    `public,unix:/${'x'.repeat(106)}`,
  ])
    assert.ok(parseConnectRules(good.split(',')) !== undefined, good);
  for (const bad of [
    '',
    'all,public',
    'none,example.com',
    'a,,b',
    'example.com:0',
    'example.com:65536',
    'example.com:x',
    '*',
    '*.',
    '*.10.0.0.1',
    'a.*.b',
    'http://example.com',
    'example.com/path',
    'user@example.com',
    'unix:run/x.sock',
    'unix:',
    'all,unix:/run/x.sock',
    `unix:/${'x'.repeat(107)}`,
    'exa mple.com',
    '-a.example',
    '[::1',
    '[::1]:',
    '::1:99999:1:2:3:4:5:6:7',
    '10.0.0.0/8',
  ])
    assert.equal(parseConnectRules(bad.split(',')), undefined, bad);
  assert.equal(parseConnectRules([]), undefined);
});

test('Public are only addresses of the public internet, in whatever way they are written', () => {
  for (const address of [
    '1.1.1.1',
    '8.8.8.8',
    '93.184.215.14',
    '172.15.255.255',
    '172.32.0.1',
    '100.63.255.255',
    '100.128.0.1',
    '223.255.255.255',
    '2606:4700:4700::1111',
    '2a00:1450::1',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
    '2002:808:808::1',
  ])
    assert.equal(isPublicAddress(address), true, address);
  for (const address of [
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '100.64.0.1',
    '100.100.100.200',
    '127.0.0.1',
    '127.255.255.254',
    '168.63.129.16',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.192',
    '192.0.2.1',
    '192.168.1.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:a9fe:a9fe',
    '::ffff:0:127.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b::169.254.169.254',
    '64:ff9b:1::808:808',
    '2002:7f00:1::1',
    '2002:a9fe:a9fe::',
    '2001::1',
    '2001:0:808:808::',
    '2001:db8::1',
    '3fff::1',
    '100::1',
    'fc00::1',
    'fd00:ec2::254',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'ff02::1',
    '5f00::1',
    '4000::1',
    'not an address',
    '',
  ])
    assert.equal(isPublicAddress(address), false, address);
});

test('An address in the URL is known in every spelling', () => {
  const policy = policyOf('public');
  for (const host of [
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '0x7f000001',
    '2130706433',
    '017700000001',
    '127.0.0.1.',
    '0',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[0:0:0:0:0:ffff:7f00:1]',
    '[64:ff9b::7f00:1]',
    '169.254.169.254',
    '0xa9fea9fe',
    '①②⑦.0.0.1',
  ])
    assert.equal(passes(policy, `http://${host}/`), false, host);
  for (const host of ['8.8.8.8', '134744072', '[2606:4700::1]', 'example.com', 'localhost', 'localhost.'])
    assert.equal(passes(policy, `http://${host}/`), true, host);
});

test('Names are looked at with their ports, in any case, and with or without a dot at the end', () => {
  const policy = policyOf('api.example:8443,*.cdn.example,bücher.example,localhost.:3000');
  for (const url of [
    'https://api.example:8443/x',
    'https://API.Example.:8443/',
    'http://a.cdn.example/',
    'http://a.b.cdn.example:99/',
    'http://xn--bcher-kva.example/',
    'http://localhost:3000/',
    'http://localhost.:3000/',
  ])
    assert.equal(passes(policy, url), true, url);
  for (const url of [
    'https://api.example/',
    'http://api.example:8444/',
    'http://cdn.example/',
    'http://evilcdn.example/',
    'http://api.example.evil.example:8443/',
    'http://localhost/',
    'http://localhost..:3000/',
    'http://127.0.0.1:3000/',
    'http://8.8.8.8/',
  ])
    assert.equal(passes(policy, url), false, url);
});

test('Nothing passes with none, and everything with all, which looks at nothing', () => {
  assert.equal(passes(policyOf('none'), 'http://example.com/'), false);
  assert.equal(passes(policyOf('none'), 'http://8.8.8.8/'), false);
  assert.equal(passes(policyOf('all'), 'http://127.0.0.1/'), true);
  assert.equal(policyOf('all').lookupFor('http://127.0.0.1'), undefined);
});

test('Of what a name stands for only allowed addresses are connected to', async () => {
  const lookup = answering('127.0.0.1', '8.8.8.8', '::ffff:10.0.0.1', '2606:4700::1', 'fe80::1%lo');
  assert.deepEqual(await seen(policyOf('public', lookup), 'http://x.example'), ['8.8.8.8', '2606:4700::1']);
  assert.deepEqual(await seen(policyOf('10.0.0.1:80', lookup), 'http://x.example'), ['::ffff:10.0.0.1']);
  assert.match(
    (await seen(policyOf('10.0.0.1:80', lookup), 'http://x.example:81'))[0] as string,
    /not allowed/,
  );
  const inside = answering('10.0.0.7');
  const [message = ''] = await seen(policyOf('public', inside), 'http://db.internal');
  assert.match(message, /^Cannot fetch "http:\/\/db\.internal\/": connections there are not allowed/);
  assert.ok(!message.includes('10.0.0.7'), 'the address is not told');
  // allowed, because the operator has named it
  assert.deepEqual(await seen(policyOf('db.internal', inside), 'http://db.internal'), ['10.0.0.7']);
});

test('A resolver that is asked for one address gets the same answer', () => {
  const lookup = policyOf('public', answering('127.0.0.1')).lookupFor('http://x.example');
  lookup?.('x.example', {}, (error) => assert.match(String(error), /not allowed/));
  policyOf('public', answering('8.8.8.8')).lookupFor('http://x.example')?.(
    'x.example',
    {},
    (error, address, family) => assert.deepEqual([error, address, family], [null, '8.8.8.8', 4]),
  );
});
