/** The program with several certificates and listeners: names, certificates of clients, the way to TLS, and reloads under streams. */
import { equal, match, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2';
import { after, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { realSupervisor } from '../support/real-supervisor.ts';
import { GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { Authority } from '../tls/authority.ts';
import { CertificateFolder } from '../tls/openssl.ts';

const folder = new GatewayFolder();
const made = new CertificateFolder();
const authority = new Authority(made, 'ca');
const FILE = folder.file('lgateway.toml');

/** Puts certificate and key where the configuration looks for them. */
function place(name: string, as: string, key = name): void {
  copyFileSync(made.file(`${name}.pem`), folder.file(`${as}.pem`));
  copyFileSync(made.file(`${key}.key`), folder.file(`${as}.key`));
}

for (const [name, names, days] of [
  ['a', 'DNS:a.test', 60],
  ['b', 'DNS:*.b.test', 60],
  ['b2', 'DNS:*.b.test', 60],
  ['late', 'DNS:*.b.test', -1],
  ['ada', 'DNS:ada.test', 60],
] as const)
  authority.issue(name, names, { days });
place('a', 'a');
place('b', 'b');
copyFileSync(made.file('ca.pem'), folder.file('ca.pem'));
writeFileSync(
  folder.file('app.lua'),
  `local httpd = require("httpd")
local function answer(text)
  httpd.header{[":status"] = 200}
  httpd.write(nil, text)
end
httpd.register_handler("/client", function(env)
  answer(table.concat({tostring(env.TLS_CLIENT_VERIFY), tostring(env.TLS_CLIENT_SUBJECT), tostring(env.TLS_CLIENT_SAN),
    tostring(env.TLS_CLIENT_SERIAL), tostring(env.TLS_CLIENT_FINGERPRINT)}, " "))
end)
httpd.register_handler("/echo", function()
  answer("begun\\n")
  httpd.write(nil, httpd.read(nil) or "")
end)
httpd.register_handler("/.well-known/acme-challenge/token", function() answer("proof") end)
`,
);
const ASKS = 'client-ca = "ca.pem"\nclient-verify = "optional"';
/** `first` and `second`: more lines of the listeners. */
const write = (more = '', first = '', second = ASKS): void =>
  writeFileSync(
    FILE,
    `workers = 2
http-redirect = "127.0.0.1:0"
hsts = 300
[[certificate]]
cert = "a.pem"
key = "a.key"
[[certificate]]
cert = "b.pem"
key = "b.key"
${more}
[[lua]]
prefix = "/"
script = "app.lua"
[[listen]]
address = "127.0.0.1"
port = 0
${first}
[[listen]]
address = "127.0.0.1"
port = 0
${second}
`,
  );
write();
const gateway = new GatewayProcess(folder, ['--config', FILE]);
after(async () => {
  await gateway.stop();
  folder.remove();
  made.remove();
});

const ports = (scheme: string): number[] =>
  [...gateway.stdout.matchAll(new RegExp(`${scheme}://[^\\s:]+:(\\d+)`, 'g'))].map(([, port]) =>
    Number(port),
  );

/** Common name of the certificate for a name, and the answer of a path. */
async function ask(
  port: number,
  servername: string,
  path: string,
  more: ConnectionOptions = {},
): Promise<[string, string]> {
  const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false, ...more });
  await once(socket, 'secureConnect');
  const name = String(socket.getPeerCertificate().subject.CN);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`);
  const chunks: Buffer[] = await socket.toArray();
  return [name, Buffer.concat(chunks).toString('latin1')];
}

const serialOf = async (): Promise<string> => {
  const socket = connect({
    port: gateway.port,
    host: '127.0.0.1',
    servername: 'x.b.test',
    rejectUnauthorized: false,
  });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
};

test('A gateway chooses certificates by name, and scripts see those of clients', async () => {
  await gateway.ready();
  const [first = 0, second = 0] = [...new Set(ports('https'))];
  equal((await ask(first, 'a.test', '/client'))[0], 'a');
  equal((await ask(first, 'x.b.test', '/client'))[0], 'b');
  match((await ask(first, 'a.test', '/client'))[1], /\r\n\r\n.*nil nil nil nil nil/s);
  match((await ask(second, 'a.test', '/client'))[1], /NONE nil nil nil nil/);
  const ada = { cert: readFileSync(made.file('ada.pem')), key: readFileSync(made.file('ada.key')) };
  const [, answer] = await ask(second, 'x.b.test', '/client', ada);
  match(answer, /SUCCESS CN=ada DNS:ada\.test [0-9A-F]+ (?:[0-9A-F]{2}:){31}[0-9A-F]{2}/);
  match(answer, /^strict-transport-security: max-age=300\r$/im);
});

test('--http-redirect leads to the listener with TLS, and leaves challenges to scripts', async () => {
  const [port = 0] = ports('http');
  const led = await fetch(`http://127.0.0.1:${port}/client?x=1`, { redirect: 'manual' });
  equal(led.status, 301);
  equal(led.headers.get('location'), `https://127.0.0.1:${gateway.port}/client?x=1`);
  equal(led.headers.get('strict-transport-security'), null);
  const challenge = await fetch(`http://127.0.0.1:${port}/.well-known/acme-challenge/token`);
  equal(await challenge.text(), 'proof');
});

const refusals = (): string[] =>
  gateway.stderr
    .split('\n')
    .flatMap((line) => /Reload refused, everything stays as it was: (.*)$/.exec(line)?.[1] ?? [])
    .map((line) => line.replaceAll(`${folder.path}/`, ''));

test('A reload with a certificate that cannot be served changes nothing, and names its place', async () => {
  const before = await serialOf();
  const cases: readonly (readonly [prepare: () => void, wanted: RegExp])[] = [
    [
      () => place('b2', 'b', 'a'),
      /^lgateway\.toml:7:3: The key in "b\.key" does not belong to the certificate in "b\.pem"/,
    ],
    [() => place('late', 'b'), /^lgateway\.toml:7:3: The new certificate in "b\.pem" expired on /],
    [
      () => writeFileSync(folder.file('b.pem'), 'rubbish'),
      /^lgateway\.toml:7:3: "b\.pem" holds no certificate/,
    ],
    [
      () => {
        place('b', 'b');
        place('b2', 'c');
        write('[[certificate]]\ncert = "c.pem"\nkey = "c.key"');
      },
      /^lgateway\.toml:10:3: The certificates in "b\.pem" and "c\.pem" are both for "\*\.b\.test" with EC keys/,
    ],
  ];
  for (const [prepare, wanted] of cases) {
    const { length } = refusals();
    prepare();
    gateway.signal('SIGHUP');
    await gateway.until(() => refusals().length > length);
    match(refusals().at(-1) ?? '', wanted);
    equal(await serialOf(), before);
  }
  write();
});

test('A reload of certificates lets streams go on, and new connections get the new one', async () => {
  const before = await serialOf();
  const session: ClientHttp2Session = connectHttp2(`https://127.0.0.1:${gateway.port}`, {
    servername: 'x.b.test',
    rejectUnauthorized: false,
  });
  const stream: ClientHttp2Stream = session.request({
    ':method': 'POST',
    ':path': '/echo',
    ':authority': 'x.b.test',
  });
  let text = '';
  stream.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  await once(stream, 'data');
  place('b2', 'b');
  gateway.signal('SIGHUP');
  await gateway.until(() => /Reloaded: new requests go to/.test(gateway.stderr));
  ok((await serialOf()) !== before);
  stream.end('sent afterwards');
  await once(stream, 'close');
  equal(text, 'begun\nsent afterwards');
  session.destroy();
});

const TICKET_PERIOD_MS = 500;

test('Ticket keys change in all workers: who comes again is known without end, and an old ticket is forgotten', async () => {
  const own = new GatewayFolder();
  writeFileSync(own.file('app.lua'), readFileSync(folder.file('app.lua')));
  const supervisor = realSupervisor(own, [], {}, { ticketPeriodMs: TICKET_PERIOD_MS });
  await supervisor.start();
  try {
    const { port = 0 } = supervisor.addresses[0] ?? {};
    const first = (await resume(port, undefined)).session;
    let newest = first;
    let newestAt = performance.now();
    for (let isKnown = true; isKnown; ) {
      const comesAt = performance.now();
      const again = await resume(port, newest);
      // five keys are known: a machine that stands still for the time of three may come too late
      const isLate = performance.now() - newestAt > 3 * TICKET_PERIOD_MS;
      ok(again.reused || isLate, 'a client that comes again and again is known each time');
      if (again.session !== undefined) [newest, newestAt] = [again.session, comesAt];
      isKnown = (await resume(port, first)).reused;
    }
  } finally {
    await supervisor.stop();
    own.remove();
  }
});

async function resume(
  port: number,
  session: Buffer | undefined,
): Promise<{ reused: boolean; session: Buffer | undefined }> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    rejectUnauthorized: false,
    ...(session && { session }),
  });
  let ticket: Buffer | undefined;
  socket.on('session', (bytes: Buffer) => {
    ticket = bytes;
  });
  await once(socket, 'secureConnect');
  const reused = socket.isSessionReused();
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  await socket.toArray();
  return { reused, session: ticket };
}

test('A reload changes what the clients of a listener have to show, and is refused where the authorities cannot be read', async () => {
  const reload = async (first: string, second: string): Promise<void> => {
    const before = [gateway.stderr.split('Reloaded: ').length, refusals().length];
    write('', first, second);
    gateway.signal('SIGHUP');
    await gateway.until(
      () =>
        gateway.stderr.split('Reloaded: ').length > (before[0] ?? 0) || refusals().length > (before[1] ?? 0),
    );
  };
  const [first = 0, second = 0] = [...new Set(ports('https'))];
  const ada = { cert: readFileSync(made.file('ada.pem')), key: readFileSync(made.file('ada.key')) };
  const shown = async (port: number, more: ConnectionOptions = {}): Promise<string | undefined> =>
    /\r\n\r\n.*?(nil|NONE|SUCCESS|FAILED:\w+) /s.exec((await ask(port, 'a.test', '/client', more))[1])?.[1];
  new Authority(made, 'stranger');
  copyFileSync(made.file('stranger.pem'), folder.file('stranger.pem'));
  await reload(ASKS, '');
  equal(await shown(first, ada), 'SUCCESS');
  equal(await shown(first), 'NONE');
  equal(await shown(second, ada), 'nil');
  await reload(ASKS.replace('ca.pem', 'stranger.pem'), ASKS);
  match((await shown(first, ada)) ?? '', /^FAILED:/);
  equal(await shown(second, ada), 'SUCCESS');
  const { length } = refusals();
  await reload(ASKS.replace('ca.pem', 'none.pem'), ASKS);
  equal(refusals().length, length + 1);
  match(refusals().at(-1) ?? '', /none\.pem/);
  equal(await shown(second, ada), 'SUCCESS');
  await reload(ASKS.replace('optional', 'require'), ASKS);
  await rejects(ask(first, 'a.test', '/client').then(([, text]) => ok(text !== '', 'it is closed')));
  equal(await shown(first, ada), 'SUCCESS');
});
