/** `--ocsp`: openssl's client gets the response of openssl's responder in the handshake, before and after a reload. */
import { doesNotMatch, match } from 'node:assert/strict';
import { appendFileSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { LocalGateway } from '../support/local-gateway.ts';
import { OcspResponder, writeIndex } from '../support/ocsp-responder.ts';
import { runProgram } from '../support/run-program.ts';
import { Authority } from '../tls/authority.ts';
import { CertificateFolder, RSA_KEY } from '../tls/openssl.ts';

const folder = new CertificateFolder();
let responder: OcspResponder;
let gateway: LocalGateway;

before(async () => {
  const authority = new Authority(folder, 'ca');
  writeIndex(folder, { '65': 'V', '66': 'V', '67': 'V' });
  responder = await OcspResponder.start(folder);
  const extensions = [`authorityInfoAccess=OCSP;URI:http://127.0.0.1:${responder.port}/`];
  authority.issue('a', 'DNS:a.test', { extensions });
  authority.issue('b', 'DNS:b.test');
  authority.issue('a-rsa', 'DNS:a.test', { extensions, key: RSA_KEY });
  for (const name of ['a', 'b', 'a-rsa'])
    appendFileSync(folder.file(`${name}.pem`), readFileSync(folder.file('ca.pem')));
  const pair = (name: string): string[] => [
    '-c',
    folder.file(`${name}.pem`),
    '-k',
    folder.file(`${name}.key`),
  ];
  const words = [
    '-a',
    '127.0.0.1',
    '-p',
    '0',
    '-w',
    '2',
    ...pair('a'),
    ...pair('b'),
    ...pair('a-rsa'),
    '--ocsp',
    '-l',
    '/',
    folder.path,
  ];
  gateway = await new LocalGateway(words).ready();
  for (const name of [/a\.pem/, /a-rsa\.pem/])
    await gateway.until(() =>
      gateway.stderr.split('\n').some((line) => /An OCSP response is stapled/.test(line) && name.test(line)),
    );
});
after(async () => {
  await gateway?.stop();
  await responder?.stop();
  folder.remove();
});

async function handshake(name: string, ...more: readonly string[]): Promise<string> {
  const words = ['s_client', '-connect', `127.0.0.1:${gateway.port}`, '-servername', name, ...more];
  return (await runProgram('openssl', words)).text;
}

/** Workers get the response behind the line of the log. */
async function untilStapled(name: string, ...more: readonly string[]): Promise<string> {
  for (;;) {
    const text = await handshake(name, '-status', ...more);
    if (text.includes('OCSP Response Status: successful')) return text;
  }
}

test('A client that asks for the response gets that of its certificate, over TLS 1.2 and 1.3', async () => {
  for (const version of ['-tls1_2', '-tls1_3']) {
    const text = await untilStapled('a.test', version);
    match(text, /Cert Status: good/);
    match(text, /Serial Number: 65/);
  }
  // this one names no authority, and nobody has asked here
  match(await handshake('b.test', '-status'), /OCSP response: no response sent/);
  doesNotMatch(await handshake('a.test'), /OCSP/);
});

test('Of an EC and an RSA certificate for one name a client gets the one that it takes, with the response for that', async () => {
  const rsa12 = ['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'];
  for (const [serial, ...words] of [
    ['67', ...rsa12],
    ['67', '-tls1_3', '-sigalgs', 'RSA-PSS+SHA256'],
    ['67', '-groups', 'X25519'],
    ['65', '-tls1_3', '-sigalgs', 'RSA-PSS+SHA256:ECDSA+SHA256'],
  ]) {
    const text = await untilStapled('a.test', ...words);
    match(text, /Cert Status: good/);
    match(text, new RegExp(`Serial Number: ${serial}`), words.join(' '));
    const kind = serial === '65' ? 'a' : 'a-rsa';
    match(text, new RegExp(`subject=CN = ${kind}\n`), words.join(' '));
  }
  // a session of the one kind goes on
  const session = folder.file('session');
  await handshake('a.test', ...rsa12, '-sess_out', session);
  match(await handshake('a.test', ...rsa12, '-sess_in', session), /Reused, TLSv1\.2/);
});

test('A reload keeps the response, though the authority is gone', async () => {
  await responder.stop();
  gateway.signal('SIGHUP');
  await gateway.until(() => gateway.stderr.includes('Reloaded: '));
  match(await handshake('a.test', '-status'), /OCSP Response Status: successful/);
  match(await handshake('a.test', '-status'), /OCSP Response Status: successful/);
});
