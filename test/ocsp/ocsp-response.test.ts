/** readOcspResponse: what openssl answers to our request is taken where it may be believed, and refused everywhere else. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { GatewayError } from '../../src/base/errors.ts';
import { ocspRequest } from '../../src/ocsp/ocsp-request.ts';
import { readOcspResponse } from '../../src/ocsp/ocsp-response.ts';
import { ocspUrlOf } from '../../src/ocsp/ocsp-url.ts';
import { answerOf, writeIndex } from '../support/ocsp-responder.ts';
import { Authority } from '../tls/authority.ts';
import { CertificateFolder, RSA_KEY } from '../tls/openssl.ts';

const DAY_MS = 86_400_000;
const AIA =
  'authorityInfoAccess=OCSP;URI:ldap://ca.test/,OCSP;URI:http://ocsp.test/a,caIssuers;URI:http://ca.test/ca.cer';

const folder = new CertificateFolder();
let issuer: X509Certificate;
let own: X509Certificate;
const read = (name: string): X509Certificate => new X509Certificate(readFileSync(folder.file(`${name}.pem`)));

before(() => {
  const authority = new Authority(folder, 'ca');
  new Authority(folder, 'stranger');
  authority.issue('own', 'DNS:own.test', { extensions: [AIA] });
  authority.issue('other', 'DNS:other.test');
  authority.issue('revoked', 'DNS:revoked.test');
  authority.issue('responder', '', { extensions: ['extendedKeyUsage=OCSPSigning'] });
  authority.issue('rsa', '', { key: RSA_KEY, extensions: ['extendedKeyUsage=OCSPSigning'] });
  authority.issue('web', '', { extensions: ['extendedKeyUsage=serverAuth'] });
  authority.issue('late', '', { extensions: ['extendedKeyUsage=OCSPSigning'], days: -1 });
  [issuer, own] = [read('ca'), read('own')];
  // 101, 102, 103
  writeIndex(folder, { '65': 'V', '66': 'V', '67': 'R' });
});
after(() => folder.remove());

const refused = (reason: RegExp) => (error: unknown) =>
  error instanceof GatewayError && error.code === 'LGW_OCSP' && reason.test(error.message);

test('The address of the authority is the first that is asked over HTTP', () => {
  equal(ocspUrlOf(own)?.href, 'http://ocsp.test/a');
  equal(ocspUrlOf(read('other')), undefined);
});

test('What the issuer signs, and who may answer for it, is taken for the certificate that it is about', () => {
  const request = ocspRequest(own, issuer);
  const now = Date.now();
  for (const signer of ['ca', 'responder', 'rsa']) {
    const response = readOcspResponse(answerOf(folder, request, { signer }), own, issuer, now);
    equal(response.state, 'good');
    ok(response.thisUpdate <= now + 1000 && response.nextUpdate > now + DAY_MS / 2);
  }
  // without an end it holds for a day
  const endless = readOcspResponse(answerOf(folder, request, { more: '' }), own, issuer, now);
  equal(endless.nextUpdate - endless.thisUpdate, DAY_MS);
  const revoked = read('revoked');
  equal(
    readOcspResponse(answerOf(folder, ocspRequest(revoked, issuer)), revoked, issuer, now).state,
    'revoked',
  );
  const unknown = read('web');
  equal(
    readOcspResponse(answerOf(folder, ocspRequest(unknown, issuer)), unknown, issuer, now).state,
    'unknown',
  );
});

test('A response of a stranger, about another certificate or out of its time is refused', () => {
  const request = ocspRequest(own, issuer);
  const now = Date.now();
  const nobody = refused(/neither the issuer of the certificate nor anybody who may answer for it/);
  for (const signer of ['stranger', 'web', 'late', 'own'])
    throws(() => readOcspResponse(answerOf(folder, request, { signer }), own, issuer, now), nobody, signer);
  const good = answerOf(folder, request);
  throws(() => readOcspResponse(good, read('other'), issuer, now), refused(/is about another certificate/));
  throws(() => readOcspResponse(good, own, read('stranger'), now), nobody);
  throws(() => readOcspResponse(good, own, issuer, now + 2 * DAY_MS), refused(/it held until \d{4}-/));
  throws(() => readOcspResponse(good, own, issuer, now - DAY_MS), refused(/it holds from \d{4}-/));
  throws(
    () => readOcspResponse(answerOf(folder, request, { more: '-ndays 1 -rmd sha1' }), own, issuer, now),
    refused(/its signature is of a kind that is not taken/),
  );
  throws(() => readOcspResponse(Buffer.from('30030a0106', 'hex'), own, issuer, now), refused(/unauthorized/));
});

test('Every byte of a response counts: none that is cut or changed inside what is signed is taken', () => {
  const good = answerOf(folder, ocspRequest(own, issuer), { signer: 'responder' });
  const now = Date.now();
  const taken = (bytes: Buffer): boolean => {
    try {
      readOcspResponse(bytes, own, issuer, now);
      return true;
    } catch (error) {
      ok(error instanceof GatewayError && error.code === 'LGW_OCSP', String(error));
      return false;
    }
  };
  ok(taken(good));
  for (let length = 0; length < good.length; length++) equal(taken(good.subarray(0, length)), false);
  const changed: number[] = [];
  for (let at = 0; at < good.length; at++) {
    const bytes = Buffer.from(good);
    bytes.writeUInt8((bytes[at] ?? 0) ^ 0x55, at);
    if (taken(bytes)) changed.push(at);
  }
  // heads that nobody looks at, but no byte of the signed body or the signature
  const body = good.indexOf(Buffer.from('2b0601050507300101', 'hex')) + 9;
  deepEqual(
    changed.filter((at) => at > body + 8 && at < good.length - 40),
    [],
  );
});
