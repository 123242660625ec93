/** Which certificates a name gets, which requests a connection counts for, and which sessions it resumes. */
import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { stapleKey } from '../../src/tls/staple-key.ts';
import { TlsPolicies } from '../../src/tls/tls-policies.ts';
import type { TlsCertificate, TlsSetup } from '../../src/tls/tls-setup.ts';
import { CertificateFolder, EC_KEY, RSA_KEY } from './openssl.ts';

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

function staplesOf(...certificates: readonly TlsCertificate[]): ReadonlyMap<string, Uint8Array> {
  return new Map(certificates.map(({ certificate }) => [stapleKey(certificate), Buffer.from(certificate)]));
}

/** The text of the response that a handshake gets. */
function stapled(all: TlsPolicies, name: string, takesP256 = false): string | undefined {
  const policy = all.choose(name, [], takesP256);
  if (policy === undefined || !('staple' in policy) || policy.staple === undefined) return undefined;
  return Buffer.from(policy.staple).toString();
}

test('A policy has the OCSP response of its certificate', () => {
  const all = policies([A, WIDE, EXACT], { staples: staplesOf(A, EXACT) });
  equal(stapled(all, 'www.a.test'), 'a');
  equal(stapled(all, 'x.b.test'), 'exact');
  equal(stapled(all, 'y.b.test', true), undefined);
});

test('Of keys of several kinds a client gets that on P-256 where it takes it, with its response, as soon as there is one', () => {
  const folder = new CertificateFolder();
  try {
    const made = (name: string, keyKind: TlsCertificate['keyKind'], key: string): TlsCertificate => {
      folder.makeSelfSigned(name, key);
      return certificate(readFileSync(folder.file(`${name}.pem`), 'utf8'), keyKind, 'k.test');
    };
    const p256 = made('p256', 'EC', EC_KEY);
    const p384 = made('p384', 'EC', 'ec -pkeyopt ec_paramgen_curve:secp384r1');
    const rsa = made('rsa', 'RSA', RSA_KEY);
    const ed = made('ed', 'Ed25519', 'ed25519');
    const certificatesOf = (all: TlsPolicies, takesP256: boolean): unknown =>
      all.choose('k.test', [], takesP256)?.options.cert;
    const texts = (...all: readonly TlsCertificate[]): string[] => all.map((one) => one.certificate);

    const before = policies([rsa, p256]);
    equal(before.readsHello, false);
    for (const takes of [true, false]) deepEqual(certificatesOf(before, takes), texts(rsa, p256));

    const all = policies([rsa, p256], { staples: staplesOf(rsa, p256) });
    equal(all.readsHello, true);
    deepEqual(certificatesOf(all, true), texts(p256));
    deepEqual(certificatesOf(all, false), texts(rsa));
    equal(stapled(all, 'k.test', true), p256.certificate);
    equal(stapled(all, 'k.test', false), rsa.certificate);
    // the default is chosen alike, and sessions and requests count for both
    deepEqual(all.choose(undefined, [], true)?.options.cert, texts(p256));
    const ids = [true, false].map((takes) => all.choose('k.test', [], takes)?.options.sessionIdContext);
    deepEqual(ids, [before.choose('k.test')?.options.sessionIdContext, ids[0]]);
    for (const takes of [true, false]) ok(all.choose('k.test', [], takes)?.serves('k.test'));

    const half = policies([rsa, p256], { staples: staplesOf(p256) });
    equal(stapled(half, 'k.test', false), undefined);
    // OpenSSL chooses among the others, and nobody knows which one
    const three = policies([rsa, p256, ed], { staples: staplesOf(rsa, p256, ed) });
    deepEqual(certificatesOf(three, false), texts(rsa, ed));
    equal(stapled(three, 'k.test', false), undefined);
    equal(stapled(three, 'k.test', true), p256.certificate);
    const without = policies([rsa, p384], { staples: staplesOf(rsa, p384) });
    for (const takes of [true, false]) deepEqual(certificatesOf(without, takes), texts(rsa, p384));
    equal(stapled(without, 'k.test', true), undefined);
  } finally {
    folder.remove();
  }
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
