/** `lgateway check`, `init`, `routes`, `cert` and `schema`: what they say, what they write, and what they refuse. */
import { deepEqual, doesNotMatch, equal, match, ok } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runSubcommand } from '../../src/command/subcommands.ts';
import { SUBCOMMANDS } from '../../src/config/subcommand-names.ts';
import { makeCertificate } from '../../src/tls/make-certificate.ts';
import { testCertificate } from '../support/certificate.ts';
import { MAIN } from '../support/run-gateway.ts';
import { runProgram } from '../support/run-program.ts';
import { Authority } from '../tls/authority.ts';
import { CertificateFolder, RSA_KEY } from '../tls/openssl.ts';

const DAY_MS = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'lgateway-commands-'));
const at = (name: string): string => join(folder, name);
after(() => rmSync(folder, { recursive: true, force: true }));

before(() => {
  const { cert, key } = testCertificate();
  writeFileSync(at('cert.pem'), cert);
  writeFileSync(at('key.pem'), key);
  writeFileSync(at('good.lua'), '#!/usr/bin/lua\nlocal x <close> = nil\nerror("a check runs no script")\n');
  writeFileSync(at('bad.lua'), 'local x = = 1\n');
});

/** The faults without the folder. */
const shown = (faults: readonly string[]): string[] =>
  faults.map((fault) => fault.replaceAll(`${folder}/`, ''));

describe('lgateway check', () => {
  test('finds nothing wrong with what a start would take, and runs no script', async () => {
    const words = ['-c', at('cert.pem'), '-k', at('key.pem'), '-l', '/', at('good.lua'), '-l', '/f', folder];
    const { output, faults } = await runSubcommand('check', words);
    deepEqual(faults, []);
    match(output, /^Configuration: 2 mapped\nCertificate .*cert.pem: the key belongs to it, \d+ days left\n/);
    match(output, /Scripts: 1 compiled, none was run\nNothing is wrong\n$/);
  });

  test('tells all that is wrong with certificate, scripts and folders', async () => {
    writeFileSync(
      at('wrong.toml'),
      `[[certificate]]
cert = "cert.pem"
key = "none.pem"
[[lua]]
prefix = "/bad"
script = "bad.lua"
[[lua]]
prefix = "/none"
script = "none.lua"
[[lua]]
prefix = "/good"
script = "good.lua"
[[static]]
prefix = "/files"
folder = "good.lua"
`,
    );
    const { faults } = await runSubcommand('check', ['--config', at('wrong.toml')]);
    deepEqual(shown(faults), [
      'wrong.toml:1:3: Cannot read the key file "none.pem": there is no such file',
      `wrong.toml:4:3: Mapping /bad: bad.lua:1: unexpected symbol near '='`,
      'wrong.toml:7:3: Mapping /none: cannot open none.lua: No such file or directory; name a file that is there and that this user may read',
      'wrong.toml:13:3: Mapping /files: Cannot look at "good.lua": Not a directory; name a folder that is there',
    ]);
  });

  test('looks for scripts inside the root, and leaves it for no name', async () => {
    const { faults } = await runSubcommand('check', [
      '-r',
      folder,
      '-l',
      '/',
      'good.lua',
      '-l',
      '/up',
      '../../good.lua',
      '-l',
      '/root',
      '/good.lua',
    ]);
    deepEqual(shown(faults), [
      `Mapping /up: cannot open ../../good.lua: the name leads out of the root; names and links are looked up inside the root "${folder}"`,
    ]);
    writeFileSync(at('b.luac'), Buffer.from('\x1bLua', 'latin1'));
    const bytecode = await runSubcommand('check', ['-l', '/', at('b.luac')]);
    match(bytecode.faults.join(), /attempt to load a binary chunk/);
  });

  test('warns of a certificate that ends within 14 days', async () => {
    const now = Date.now();
    const { certificate, key } = makeCertificate({
      hostNames: ['localhost'],
      addresses: [],
      organization: 'test',
      notBefore: new Date(now - DAY_MS),
      notAfter: new Date(now + 5.5 * DAY_MS),
    });
    writeFileSync(at('short.pem'), certificate);
    writeFileSync(at('short.key'), key);
    const words = ['-c', at('short.pem'), '-k', at('short.key'), '-s', at('good.lua')];
    const { output, faults } = await runSubcommand('check', words);
    deepEqual(faults, []);
    match(
      output,
      /5 days left\n {2}names: localhost\n {2}key: EC, prime256v1; chain: self-signed\nWarning: The certificate in ".*short.pem" expires in 5 days, on /,
    );
    const mixed = await runSubcommand('check', [
      '-c',
      at('cert.pem'),
      '-k',
      at('short.key'),
      '-s',
      at('good.lua'),
    ]);
    match(
      shown(mixed.faults).join(),
      /^The key in "short.key" does not belong to the certificate in "cert.pem"/,
    );
  });

  test('ends with code 2 and the places of the file, as a process', async () => {
    writeFileSync(at('keys.toml'), 'adress = "::1"\nport = -1\n');
    const { code, stdout, stderr } = await runProgram(
      process.execPath,
      [MAIN, 'check', '--config', 'keys.toml'],
      {
        cwd: folder,
      },
    );
    deepEqual(
      [code, String(stdout), String(stderr)],
      [
        2,
        '',
        'keys.toml:1:1: Unknown key "adress"; did you mean "address"?\nkeys.toml:2:1: Key "port" wants a port from 0 to 65535, not -1\n',
      ],
    );
  });
});

test('lgateway check goes through the root of each mapping: links that lead out of it are faults', async () => {
  const [one, two] = [at('one'), at('two')];
  for (const root of [one, two]) mkdirSync(root);
  writeFileSync(join(one, 'own.lua'), 'return 1');
  symlinkSync(join(one, 'own.lua'), join(two, 'link.lua'));
  symlinkSync('own.lua', join(one, 'inside.lua'));
  symlinkSync(one, join(two, 'folder'));
  writeFileSync(
    at('roots.toml'),
    `[[lua]]
prefix = "/one"
script = "inside.lua"
root = "one"
[[lua]]
prefix = "/two"
script = "link.lua"
root = "two"
[[lua]]
prefix = "/none"
script = "own.lua"
root = "nowhere"
`,
  );
  const { faults } = await runSubcommand('check', ['--config', at('roots.toml')]);
  deepEqual(shown(faults), [
    `roots.toml:5:3: Mapping /two: cannot open link.lua: a link leads out of the root; names and links are looked up inside the root "two"`,
    `roots.toml:9:3: Mapping /none: Cannot use "nowhere" as a virtual root: ENOENT: no such file or directory, lstat 'nowhere'`,
  ]);
  const words = ['-r', two, '-l', '/f', 'folder/'];
  match(
    (await runSubcommand('check', words)).faults.join(),
    /Mapping \/f: .*; names and links are looked up/,
  );
});

test('lgateway init writes a project that lgateway check finds nothing wrong with, and writes it once', async () => {
  const project = at('project');
  deepEqual((await runSubcommand('init', [project])).faults, []);
  const checked = await runSubcommand('check', ['--config', join(project, 'lgateway.toml')]);
  deepEqual(checked.faults, []);
  match(checked.output, /Scripts: 1 compiled/);
  writeFileSync(join(project, 'app.lua'), 'mine');
  rmSync(join(project, '.gitignore'));
  const again = await runSubcommand('init', [project]);
  match(
    again.faults.join(),
    /^lgateway: Nothing is written: there are ".*lgateway.toml", ".*app.lua" already/,
  );
  equal(readFileSync(join(project, 'app.lua'), 'utf8'), 'mine');
  match((await runSubcommand('init', [project, 'x'])).faults.join(), /takes one directory, and no word "x"/);
});

test('lgateway routes lists what is mapped where', async () => {
  const words = ['-l', '/app', 'app.lua', '-l', 'a.test/x', 'http://127.0.0.1:1', '--mode', 'luvit'];
  const { output, faults } = await runSubcommand('routes', words);
  deepEqual(faults, []);
  equal(output, '/app      script  app.lua (luvit)\na.test/x  proxy   http://127.0.0.1:1\n');
});

test('lgateway routes and check show what a mapping has of its own', async () => {
  writeFileSync(
    at('own.toml'),
    `root = "."
[[lua]]
prefix = "/"
script = "good.lua"
mode = "lhttpd"
sandbox = false
allow-run = []
allow-connect = ["public", "db:5432"]
allow-env = "A,B"
memory = "16M"
cpu-limit = 0
time-limit = 1.5
share = 10
[[lua]]
prefix = "/other"
script = "good.lua"
`,
  );
  const own =
    'sandbox=false allow-run=none allow-connect=public,db:5432 allow-env=A,B memory=16M cpu-limit=0 time-limit=1.5 share=10';
  const { output } = await runSubcommand('routes', ['--config', at('own.toml')]);
  equal(output, `/       script  good.lua (lhttpd)\n  ${own}\n/other  script  good.lua\n`);
  const checked = await runSubcommand('check', ['--config', at('own.toml')]);
  deepEqual(checked.faults, []);
  ok(checked.output.includes(`\nMapping / has of its own: ${own}\n`), checked.output);
});

test('lgateway cert writes a certificate for names and addresses, with a key that only its owner reads', async () => {
  const words = ['Example.test', '*.a.test', '10.0.0.1', '2001:db8::5', '::ffff:10.0.0.2'];
  const run = (...names: string[]) =>
    runProgram(process.execPath, [MAIN, 'cert', ...names], { cwd: at('certs') });
  deepEqual((await runSubcommand('init', [at('certs')])).faults, []);
  equal((await run(...words)).code, 0);
  const certificate = new X509Certificate(readFileSync(at('certs/cert.pem')));
  for (const host of ['example.test', 'x.a.test']) ok(certificate.checkHost(host) !== undefined, host);
  for (const address of ['10.0.0.1', '2001:db8::5', '::ffff:10.0.0.2'])
    ok(certificate.checkIP(address) !== undefined, address);
  equal(statSync(at('certs/key.pem')).mode & 0o777, 0o600);
  const key = readFileSync(at('certs/key.pem'));
  const again = await run();
  equal(again.code, 2);
  match(String(again.stderr), /^lgateway: Nothing is written: there are "key.pem", "cert.pem" already/);
  deepEqual(readFileSync(at('certs/key.pem')), key);
  match((await runSubcommand('cert', ['a b'])).faults.join(), /takes names and addresses, not "a b"/);
  match((await runSubcommand('cert', ['--days'])).faults.join(), /takes names and addresses, not "--days"/);
});

test('lgateway cert new writes the same, and cert show prints what certificates say', async () => {
  mkdirSync(at('new'));
  const run = (...words: string[]) =>
    runProgram(process.execPath, [MAIN, 'cert', ...words], { cwd: at('new') });
  equal((await run('new', 'localhost', '*.a.test')).code, 0);
  const { code, text } = await run('show', 'cert.pem');
  equal(code, 0);
  const { fingerprint256, serialNumber } = new X509Certificate(readFileSync(at('new/cert.pem')));
  match(
    text,
    /^Certificate cert\.pem\n {2}subject: .*CN=localhost\n {2}names: DNS:localhost, DNS:\*\.a\.test\n {2}issuer: itself\n/,
  );
  match(text, /\n {2}valid: \S+Z to \S+Z, 36[45] days left\n/);
  match(
    text,
    new RegExp(
      `serial number: ${serialNumber}\\n {2}key: EC, prime256v1\\n {2}fingerprint \\(SHA-256\\): ${fingerprint256}\\n {2}OCSP: no address\\n$`,
    ),
  );
  const more = await runSubcommand('cert', ['show', at('cert.pem'), at('none.pem'), at('key.pem')]);
  match(more.output, /^Certificate .*cert\.pem\n/);
  match(
    shown(more.faults).join('\n'),
    /^Cannot read the certificate file "none\.pem": there is no such file\n"key\.pem" holds no certificate/,
  );
});

test('lgateway cert show prints the certificates of a configuration, with their chains, and tells which cannot be served', async () => {
  const certificates = new CertificateFolder();
  try {
    const authority = new Authority(certificates, 'ca');
    authority.issue('a', 'DNS:a.test', {
      key: RSA_KEY,
      extensions: ['authorityInfoAccess=OCSP;URI:http://ocsp.test/', 'tlsfeature=status_request'],
    });
    authority.issue('old', 'DNS:old.test', { days: -1 });
    appendFileSync(certificates.file('a.pem'), readFileSync(certificates.file('ca.pem')));
    const pair = (cert: string, key: string): string[] => [
      '-c',
      certificates.file(`${cert}.pem`),
      '-k',
      certificates.file(`${key}.key`),
    ];
    const words = ['show', ...pair('a', 'a'), ...pair('old', 'old'), ...pair('old', 'a')];
    const { output, faults } = await runSubcommand('cert', words);
    match(output, /\n {2}issuer: CN=ca\n/);
    match(output, /\n {2}key: RSA, 2048 bits\n/);
    match(
      output,
      /\n {2}chain 2: CN=ca, until \S+Z\n {2}OCSP: http:\/\/ocsp\.test\/; a response is demanded \(must-staple\)\n/,
    );
    match(faults[0] ?? '', /^The certificate in ".*old\.pem" expired on /);
    match(faults[1] ?? '', /^The key in ".*a\.key" does not belong to the certificate in ".*old\.pem"/);
    equal(faults.length, 2);
    // this one demands a response in each handshake
    const check = async (...more: string[]): Promise<string> =>
      (await runSubcommand('check', [...pair('a', 'a'), ...more, '-l', '/', at('good.lua')])).output;
    match(
      await check(),
      /\nWarning: .* demands an OCSP response .* and without --ocsp the gateway sends none/,
    );
    doesNotMatch(await check('--ocsp'), /demands an OCSP response/);
  } finally {
    certificates.remove();
  }
});

test('Every subcommand has its help, and refuses words it does not know', async () => {
  for (const { name, help } of SUBCOMMANDS) {
    const { output, faults } = await runSubcommand(name, ['--help']);
    deepEqual(faults, []);
    ok(output.startsWith(`lgateway ${name}`) && output.includes(help), output);
    equal((await runSubcommand(name, ['--nonsense'])).faults.length, 1, name);
  }
});
