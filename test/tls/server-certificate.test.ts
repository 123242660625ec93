/** Certificates and keys from files: the accepted forms, and the message for each unusable one. */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { GatewayError } from '../../src/base/errors.ts';
import { loadServerCertificate, type ServerCertificate } from '../../src/tls/server-certificate.ts';
import { CertificateFolder, EC_KEY, RSA_KEY } from './openssl.ts';

const folder = new CertificateFolder();
const load = (certificate: string, key: string): ServerCertificate =>
  loadServerCertificate({ certificate: folder.file(certificate), key: folder.file(key) });

/** Asserts that loading fails with `code` and a message of one line that contains `text`; `@` is replaced by the folder. */
function refuses(certificate: string, key: string, code: string, text: string): void {
  throws(
    () => load(certificate, key),
    (error) => {
      ok(error instanceof GatewayError, String(error));
      equal(error.code, code);
      ok(error.message.includes(text.replaceAll('@', `${folder.path}/`)), error.message);
      equal(error.message.includes('\n'), false);
      return true;
    },
  );
}

before(() => {
  folder.makeSelfSigned('rsa', RSA_KEY);
  folder.makeSelfSigned('ec', EC_KEY);
});
after(() => folder.remove());

describe('loadServerCertificate() reads', () => {
  test('PEM files with RSA and EC keys', () => {
    for (const [name, kind] of [
      ['rsa', 'RSA'],
      ['ec', 'EC'],
    ] as const) {
      const loaded = load(`${name}.pem`, `${name}.key`);
      equal(loaded.keyKind, kind);
      const own = new X509Certificate(readFileSync(folder.file(`${name}.pem`)));
      equal(loaded.fingerprint256, own.fingerprint256);
      equal(loaded.validTo.getTime(), Date.parse(own.validTo));
    }
  });

  test('DER files, with keys in PKCS #8, PKCS #1 and SEC 1', () => {
    folder.openssl('x509 -in @rsa.pem -outform der -out @rsa.der');
    folder.openssl('x509 -in @ec.pem -outform der -out @ec.der');
    folder.openssl('pkcs8 -topk8 -nocrypt -in @rsa.key -outform der -out @rsa8.der');
    folder.openssl('rsa -in @rsa.key -traditional -outform der -out @rsa1.der');
    folder.openssl('ec -in @ec.key -outform der -out @ec1.der');
    const pem = load('rsa.pem', 'rsa.key');
    deepEqual(load('rsa.der', 'rsa8.der'), pem);
    deepEqual(load('rsa.der', 'rsa1.der'), pem);
    equal(load('ec.der', 'ec1.der').keyKind, 'EC');
  });

  test('PEM keys of older forms, with an EC PARAMETERS block in front', () => {
    folder.openssl('ecparam -name secp384r1 -genkey -out @old.key');
    folder.openssl('req -x509 -key @old.key -out @old.pem -subj /CN=old');
    match(readFileSync(folder.file('old.key'), 'utf8'), /BEGIN EC PARAMETERS/);
    equal(load('old.pem', 'old.key').keyKind, 'EC');
    folder.openssl('rsa -in @rsa.key -traditional -out @rsa1.key');
    equal(load('rsa.pem', 'rsa1.key').keyKind, 'RSA');
  });

  test('one file that holds the key and the certificate, with text between them', () => {
    const both = `${readFileSync(folder.file('ec.key'), 'utf8')}Bag Attributes: none\n${readFileSync(folder.file('ec.pem'), 'utf8')}`;
    writeFileSync(folder.file('both.pem'), both.replaceAll('\n', '\r\n'));
    deepEqual(load('both.pem', 'both.pem'), load('ec.pem', 'ec.key'));
  });

  test('a chain in its order', () => {
    folder.makeSelfSigned('ca', EC_KEY);
    folder.openssl(`req -new -newkey ${RSA_KEY} -nodes -keyout @leaf.key -out @leaf.csr -subj /CN=leaf`);
    folder.openssl(
      'x509 -req -in @leaf.csr -CA @ca.pem -CAkey @ca.key -CAcreateserial -days 30 -out @leaf.pem',
    );
    const [leaf, ca] = ['leaf', 'ca'].map((name) => readFileSync(folder.file(`${name}.pem`), 'utf8'));
    writeFileSync(folder.file('chain.pem'), `${leaf}${ca}`);
    const loaded = load('chain.pem', 'leaf.key');
    equal(loaded.certificate.match(/BEGIN CERTIFICATE/g)?.length, 2);
    writeFileSync(folder.file('reversed.pem'), `${ca}${leaf}`);
    refuses(
      'reversed.pem',
      'leaf.key',
      'LGW_KEY_MISMATCH',
      "belongs to certificate 2 of the file, and the server's own must be the first",
    );
  });
});

describe('loadServerCertificate() refuses', () => {
  test('a missing file, a directory and an endless one', () => {
    refuses(
      'none.pem',
      'ec.key',
      'LGW_CERTIFICATE_READ',
      'Cannot read the certificate file "@none.pem": there is no such file',
    );
    refuses(
      'ec.pem',
      'none.key',
      'LGW_CERTIFICATE_READ',
      'Cannot read the key file "@none.key": there is no such file',
    );
    refuses('.', 'ec.key', 'LGW_CERTIFICATE_READ', 'it is a directory');
    throws(
      () => loadServerCertificate({ certificate: '/dev/zero', key: '/dev/zero' }),
      /"\/dev\/zero": it is longer than 1048576 bytes/,
    );
  });

  test('garbage, empty files and damaged PEM', () => {
    writeFileSync(folder.file('garbage'), 'not a certificate at all');
    writeFileSync(folder.file('empty'), '');
    writeFileSync(
      folder.file('damaged.pem'),
      readFileSync(folder.file('ec.pem'), 'utf8').replace(/^M.{20}/m, 'AAAA'),
    );
    writeFileSync(
      folder.file('damaged.key'),
      readFileSync(folder.file('ec.key'), 'utf8').replace(/^M.{20}/m, 'AAAA'),
    );
    for (const name of ['garbage', 'empty']) {
      refuses(name, 'ec.key', 'LGW_CERTIFICATE_INVALID', `"@${name}" holds no certificate`);
      refuses('ec.pem', name, 'LGW_KEY_INVALID', `"@${name}" holds no readable private key`);
    }
    refuses(
      'damaged.pem',
      'ec.key',
      'LGW_CERTIFICATE_INVALID',
      '"@damaged.pem" holds a damaged certificate, number 1 of 1',
    );
    refuses('ec.pem', 'damaged.key', 'LGW_KEY_INVALID', '"@damaged.key" holds no readable private key');
  });

  test('the two files given the wrong way round', () => {
    refuses(
      'ec.key',
      'ec.pem',
      'LGW_CERTIFICATE_INVALID',
      '"@ec.key" holds no certificate, but a private key',
    );
    refuses('ec.pem', 'ec.pem', 'LGW_KEY_INVALID', '"@ec.pem" holds no private key');
  });

  test('a key that belongs to another certificate', () => {
    folder.makeSelfSigned('other', EC_KEY);
    const text = 'The key in "@other.key" does not belong to the certificate in "@ec.pem"';
    refuses('ec.pem', 'other.key', 'LGW_KEY_MISMATCH', text);
    refuses('ec.pem', 'rsa.key', 'LGW_KEY_MISMATCH', 'does not belong');
  });

  test('encrypted keys of every form', () => {
    folder.openssl('pkcs8 -topk8 -in @ec.key -passout pass:x -out @enc8.key');
    folder.openssl('pkcs8 -topk8 -in @ec.key -passout pass:x -outform der -out @enc8.der');
    folder.openssl('rsa -in @rsa.key -traditional -aes128 -passout pass:x -out @enc1.key');
    for (const name of ['enc8.key', 'enc8.der', 'enc1.key'])
      refuses('ec.pem', name, 'LGW_KEY_ENCRYPTED', `The key in "@${name}" is encrypted`);
  });

  test('keys that browsers cannot use, and takes the shortest that they can', () => {
    folder.makeSelfSigned('short', 'rsa:2047');
    folder.makeSelfSigned('koblitz', 'ec -pkeyopt ec_paramgen_curve:secp256k1');
    folder.makeSelfSigned('edwards', 'ed448');
    refuses(
      'short.pem',
      'short.key',
      'LGW_KEY_UNSUITABLE',
      '"@short.key" holds an RSA key of 2047 bits, and at least 2048 are needed',
    );
    refuses('koblitz.pem', 'koblitz.key', 'LGW_KEY_UNSUITABLE', 'an EC key on the curve secp256k1');
    refuses(
      'edwards.pem',
      'edwards.key',
      'LGW_KEY_UNSUITABLE',
      'a key of type ed448, and RSA, EC or Ed25519 is needed',
    );
    equal(load('rsa.pem', 'rsa.key').keyKind, 'RSA');
    folder.makeSelfSigned('edwards', 'ed25519');
    equal(load('edwards.pem', 'edwards.key').keyKind, 'Ed25519');
  });
});
