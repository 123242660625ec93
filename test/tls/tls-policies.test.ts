/** Which certificates a name gets, which requests a connection counts for, and which sessions it resumes. */
import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { stapleKey } from '../../src/tls/staple-key.ts';
import { TlsPolicies } from '../../src/tls/tls-policies.ts';
import type { TlsCertificate, TlsSetup } from '../../src/tls/tls-setup.ts';

function certificate(id: string, keyKind: TlsCertificate['keyKind'], ...names: string[]): TlsCertificate {
  return { certificate: id, key: `key of ${id}`, keyKind, names };
}

const A = certificate('a', 'EC', 'a.test', 'www.a.test', '192.0.2.1');
const A_RSA = certificate('a-rsa', 'RSA', 'a.test');
const WIDE = certificate('wide', 'EC', '*.b.test');
const EXACT = certificate('exact', 'EC', 'x.b.test');

function policies(certificates: readonly TlsCertificate[], more: Partial<TlsSetup> = {}): TlsPolicies {
  const setup: TlsSetup = {
    certificates,
    ticketKeys: [new Uint8Array(48)],
    profile: 'intermediate',
    strictSni: false,
    clients: [],
    ...more,
  };
  return new TlsPolicies(setup, 0);
}

/** The certificates that a handshake for the name gets; undefined: it is refused. */
function chosen(all: TlsPolicies, name: string | undefined): unknown {
  return all.choose(name)?.options.cert;
}

test('A name gets its certificates: exact before a star, a star for one label, all kinds of keys, else the first', () => {
  const all = policies([A, A_RSA, WIDE, EXACT]);
  ok(all.readsHello);
  for (const [name, expected] of [
    ['a.test', ['a', 'a-rsa']],
    ['A.TEST', ['a', 'a-rsa']],
    ['a.test.', ['a', 'a-rsa']],
    ['www.a.test', ['a']],
    ['x.b.test', ['exact']],
    ['y.b.test', ['wide']],
    ['z.y.b.test', ['a', 'a-rsa']],
    ['b.test', ['a', 'a-rsa']],
    ['.b.test', ['a', 'a-rsa']],
    ['other.test', ['a', 'a-rsa']],
    ['x'.repeat(300), ['a', 'a-rsa']],
    ['', ['a', 'a-rsa']],
    [undefined, ['a', 'a-rsa']],
  ] as const)
    deepEqual(chosen(all, name), expected, name);
});

test('With strictSni a handshake for another name, or for none, is refused', () => {
  const all = policies([A, WIDE], { strictSni: true });
  for (const name of [undefined, '', 'other.test', 'b.test', 'z.y.b.test'])
    equal(chosen(all, name), undefined, name);
  deepEqual(chosen(all, 'y.b.test'), ['wide']);
  ok(policies([A], { strictSni: true }).readsHello);
});

test('A policy has the OCSP response of its certificate, and none where keys of several kinds are for a name', () => {
  const staples = new Map(
    [A, A_RSA, EXACT].map(({ certificate }) => [stapleKey(certificate), Buffer.from(certificate)]),
  );
  const all = policies([A, A_RSA, WIDE, EXACT], { staples });
  const staple = (name: string): string | undefined => {
    const policy = all.choose(name);
    return policy !== undefined && 'staple' in policy
      ? policy.staple && Buffer.from(policy.staple).toString()
      : undefined;
  };
  equal(staple('www.a.test'), 'a');
  equal(staple('x.b.test'), 'exact');
  equal(staple('y.b.test'), undefined);
  equal(staple('a.test'), undefined);
});

test('One certificate for all needs no look at the handshake', () => {
  equal(policies([A]).readsHello, false);
  equal(policies([certificate('none', 'EC')]).readsHello, false);
});

test('A connection counts for the names whose handshakes would get one of its certificates', () => {
  const all = policies([A, A_RSA, WIDE, EXACT]);
  const serves = (name: string, authority: string): boolean | undefined =>
    all.choose(name)?.serves(authority);
  for (const [name, authority, expected] of [
    ['a.test', 'a.test:8443', true],
    ['a.test', 'www.a.test', true],
    ['a.test', 'WWW.A.test.:1', true],
    ['a.test', '192.0.2.1', true],
    ['a.test', 'stranger.test', true],
    ['a.test', '', true],
    ['a.test', 'x.b.test', false],
    ['y.b.test', 'z.b.test', true],
    ['y.b.test', 'x.b.test', false],
    ['x.b.test', 'y.b.test', false],
    ['x.b.test', '[::1]:8443', false],
    ['stranger.test', 'stranger.test', true],
    ['stranger.test', 'x.b.test', false],
  ] as const) {
    equal(serves(name, authority), expected, `${name} ${authority}`);
    equal(serves(name, authority), expected, `${name} ${authority} once more`);
  }
  equal(policies([A, WIDE], { strictSni: true }).choose('a.test')?.serves('stranger.test'), false);
});

test('Sessions are those of one set of names and one demand on clients, and outlive a renewal', () => {
  const client = { ca: 'authority', verify: 'optional' } as const;
  const context = (all: TlsPolicies, name: string): string => {
    const id = all.choose(name)?.options.sessionIdContext ?? '';
    ok(id.length > 0 && id.length <= 32);
    return id;
  };
  const all = policies([A, A_RSA, WIDE]);
  notEqual(context(all, 'a.test'), context(all, 'y.b.test'));
  notEqual(context(all, 'a.test'), context(all, 'www.a.test'));
  const renewed = policies([{ ...A, certificate: 'a, renewed' }, A_RSA, WIDE]);
  equal(context(all, 'a.test'), context(renewed, 'a.test'));
  const asked = policies([A, A_RSA, WIDE], { clients: [client] });
  const required = policies([A, A_RSA, WIDE], { clients: [{ ...client, verify: 'require' }] });
  const others = policies([A, A_RSA, WIDE], { clients: [{ ...client, ca: 'another' }] });
  equal(new Set([all, asked, required, others].map((one) => context(one, 'a.test'))).size, 4);
});
