/** Warnings about a certificate that the gateway serves in spite of a defect, and when they are logged. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { CertificateWatch } from '../../src/supervisor/certificate-watch.ts';
import { certificateWarnings, readChainText } from '../../src/tls/certificate-warnings.ts';
import { eventually } from '../support/script-harness.ts';
import { CertificateFolder, EC_KEY } from './openssl.ts';

const DAY_MS = 86_400_000;
let folder: CertificateFolder;

before(() => {
  folder = new CertificateFolder();
  folder.makeSelfSigned('ec', EC_KEY);
  folder.makeSelfSigned('other', EC_KEY);
  folder.openssl(
    `req -x509 -newkey ${EC_KEY} -nodes -keyout @plain.key -out @plain.pem -days 60 -subj /CN=plain`,
  );
  folder.openssl(
    `req -x509 -newkey ${EC_KEY} -nodes -keyout @ip.key -out @ip.pem -days 60 -subj /CN=ip -addext subjectAltName=IP:127.0.0.1`,
  );
});

after(() => folder.remove());

function warnings(names: readonly string[], now: number = Date.now(), address?: string): string[] {
  const pem = names.map((name) => readFileSync(folder.file(`${name}.pem`), 'utf8')).join('');
  return certificateWarnings(readChainText(pem), 'x.pem', now, address);
}

describe('certificateWarnings()', () => {
  test('tell of a time that has passed, is near, or has not come', () => {
    const at = (days: number): string => warnings(['ec'], Date.now() + days * DAY_MS).join('|');
    match(at(61), /^The certificate in "x\.pem" expired on \d{4}-\d\d-\d\d$/);
    match(at(-1), /^The certificate in "x\.pem" is not valid before \d{4}-\d\d-\d\d$/);
    match(at(49), /^The certificate in "x\.pem" expires in 10 days, on \d{4}-\d\d-\d\d$/);
    equal(at(40), '');
  });

  test('tell of a chain whose members did not issue each other', () => {
    deepEqual(warnings(['ec', 'other']), [
      'Certificate 2 in "x.pem" did not issue certificate 1: clients may not find the chain',
    ]);
  });

  test('tell of a certificate that names no host, or another address than the one listened on', () => {
    deepEqual(warnings(['plain']), [
      'The certificate in "x.pem" names no host (subjectAltName): browsers and curl will refuse it',
    ]);
    deepEqual(warnings(['ip'], Date.now(), '127.0.0.2'), [
      'The certificate in "x.pem" is for IP Address:127.0.0.1, and not for 127.0.0.2, where the gateway listens',
    ]);
    for (const address of ['127.0.0.1', undefined]) deepEqual(warnings(['ip'], Date.now(), address), []);
    deepEqual(warnings(['ec'], Date.now(), '127.0.0.2'), []);
  });
});

test('CertificateWatch warns when a certificate is taken, and again as time goes on', async () => {
  const lines: string[] = [];
  const watch = new CertificateWatch(
    createLogger('info', 'supervisor', (line) => lines.push(line)),
    undefined,
    5,
  );
  const certificate = readFileSync(folder.file('plain.pem'), 'utf8');
  try {
    watch.watch([{ certificate, file: 'plain.pem' }]);
    equal(lines.length, 1);
    match(lines[0] ?? '', / warn supervisor The certificate in "plain\.pem" names no host/);
    await eventually(() => equal(lines.length > 2, true));
    watch.watch([{ certificate: readFileSync(folder.file('ec.pem'), 'utf8'), file: 'ec.pem' }]);
    const count = lines.length;
    await eventually(() => equal(lines.length, count));
  } finally {
    watch.stop();
  }
});
