/** `-u`: after the rights of root are gone, what only root may open is read and written anew, by the opener. */
import { equal, match } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { makeCertificate } from '../../src/tls/make-certificate.ts';
import { RedisProcess } from '../support/redis-process.ts';
import { GatewayFolder } from '../support/run-gateway.ts';
import { childrenOf, isRunning, UpgradingGateway } from '../support/upgrading-gateway.ts';

const DAY_MS = 86_400_000;
const NOBODY = 65_534;
const IS_ROOT = process.getuid?.() === 0;
const NEEDS_ROOT = IS_ROOT ? {} : { skip: 'only root may become another user' };

let folder: GatewayFolder;
let gateway: UpgradingGateway | undefined;

before(() => {
  folder = new GatewayFolder();
  chmodSync(folder.path, 0o755);
  // for root alone: its files, and their names
  for (const name of ['secret', 'logs']) mkdirSync(folder.file(name), { mode: 0o700 });
  mkdirSync(folder.file('own'));
  if (IS_ROOT) chmodSync(folder.file('own'), 0o777);
  writeFileSync(
    folder.file('app.lua'),
    `require('httpd').register_handler('/', function()
       local httpd = require 'httpd'
       httpd.header{[':status'] = '200'}
       httpd.write(nil, 'hello')
     end)`,
  );
});
afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});
after(() => folder.remove());

const CERTIFICATE = 'secret/cert.pem';
const KEY = 'secret/key.pem';

/** A new certificate under the names that the gateway was given, as programs that renew write it: beside, and renamed. */
function renew(): void {
  const { certificate, key } = makeCertificate({
    hostNames: ['localhost'],
    addresses: [],
    organization: 'lgateway test',
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + 30 * DAY_MS),
  });
  for (const [name, text] of [
    [KEY, key],
    [CERTIFICATE, certificate],
  ] as const) {
    writeFileSync(folder.file(`${name}.new`), text, { mode: 0o600 });
    renameSync(folder.file(`${name}.new`), folder.file(name));
  }
}

const serialOf = (pem: string): string => new X509Certificate(pem).serialNumber;
const serialOfFile = (): string => serialOf(readFileSync(folder.file(CERTIFICATE), 'utf8'));

async function servedSerial(port: number): Promise<string> {
  const socket: TLSSocket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerCertificate().serialNumber;
  } finally {
    socket.destroy();
  }
}

async function start(words: readonly string[] = [], of = 'secret'): Promise<UpgradingGateway> {
  renew();
  const files = { certificate: folder.file(`${of}/cert.pem`), key: folder.file(`${of}/key.pem`) };
  const all = ['-u', 'nobody', '-l', '/', folder.file('app.lua'), ...words];
  gateway = new UpgradingGateway(
    { ...files, file: (name: string) => folder.file(name) } as GatewayFolder,
    all,
    {
      pidFile: folder.file('own/pid'),
    },
  );
  await gateway.first.ready();
  match(readFileSync(`/proc/${gateway.pid}/status`, 'latin1'), new RegExp(`^Uid:\\t${NOBODY}\\t`, 'm'));
  return gateway;
}

const times = (pattern: RegExp, text: string): number => text.match(new RegExp(pattern, 'g'))?.length ?? 0;

test(
  'A reload serves a renewed certificate of root, and log files begin anew in a folder of root',
  NEEDS_ROOT,
  async () => {
    const log = folder.file('logs/gateway.log');
    const access = folder.file('logs/access.log');
    const running = await start(['--log-file', log, `--access-log=file:${access}`]);
    const { port } = running.first;
    const logged = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');
    const untilLogged = async (path: string, pattern: RegExp): Promise<void> => {
      while (!pattern.test(logged(path))) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    equal(await servedSerial(port), serialOfFile());
    renew();
    renameSync(log, `${log}.1`);
    renameSync(access, `${access}.1`);
    running.signal('SIGHUP');
    await untilLogged(log, /Reloaded: new requests go to the scripts and the certificate as they are now/);
    equal(await servedSerial(port), serialOfFile());
    equal(existsSync(access), true);
    // a client that goes is no error of the gateway, though its line has the word
    equal(times(/Z error /, logged(log)), 0, logged(log));
  },
);

test('--watch sees a certificate change where only root may look', NEEDS_ROOT, async () => {
  const running = await start(['--watch']);
  await running.until(() => running.log.includes('Watching '));
  renew();
  await running.until(() => times(/Reloaded: /, running.log) > 0);
  // certificate and key come one after the other: a look between them is refused, and the next is not
  while ((await servedSerial(running.first.port)) !== serialOfFile())
    await new Promise((resolve) => setTimeout(resolve, 50));
});

test(
  'An upgrade hands the opener over: the new process reads renewed certificates as well, and the secret of the store',
  NEEDS_ROOT,
  async () => {
    const secret = folder.file('secret/store-secret');
    writeFileSync(secret, '5'.repeat(64), { mode: 0o600 });
    const redis = await RedisProcess.start();
    const running = await start(['--store', redis.address, '--store-secret', secret]);
    const { port } = running.first;
    const [opener = 0] = childrenOf(running.pid);
    renew();
    await running.upgrade();
    equal(await servedSerial(port), serialOfFile());
    renew();
    running.signal('SIGHUP');
    await running.until(() => times(/Reloaded: .*and the certificate as they are now/, running.log) === 1);
    equal(await servedSerial(port), serialOfFile());
    equal(isRunning(opener), true);
    const { pid } = running;
    running.signal('SIGTERM');
    await running.until(() => !isRunning(pid));
    while (isRunning(opener)) await new Promise((resolve) => setTimeout(resolve, 10));
    await redis.stop();
  },
);

test(
  'Without its opener the gateway serves on with the old certificate, and says what a restart is for',
  NEEDS_ROOT,
  async () => {
    const running = await start();
    const { port } = running.first;
    const before = serialOfFile();
    const [opener = 0] = childrenOf(running.pid);
    process.kill(opener, 'SIGKILL');
    await running.until(() =>
      /The process that opens files as root has ended \(it ended with SIGKILL\)/.test(running.log),
    );
    renew();
    running.signal('SIGHUP');
    await running.until(() => running.log.includes('Reloaded: '));
    match(
      running.log,
      /The certificate stays as it is, because user "nobody" may not read it again: .*permission denied, and the process that opens files as root is gone/,
    );
    equal(await servedSerial(port), before);
  },
);

test(
  'A file in a folder that the user may change is not opened as root, which a warning says at the start',
  NEEDS_ROOT,
  async () => {
    renew();
    for (const name of ['cert.pem', 'key.pem']) {
      writeFileSync(folder.file(`own/${name}`), readFileSync(folder.file(`secret/${name}`)));
      chmodSync(folder.file(`own/${name}`), 0o600);
    }
    const running = await start([], 'own');
    match(
      running.log,
      /User "nobody" cannot read ".*own\/key\.pem", which is not opened as root, because "nobody" may change the folder ".*own": a reload will keep/,
    );
  },
);

test(
  'A log that root has begun in a folder of the user goes on through reloads, and anew after a rename',
  NEEDS_ROOT,
  async () => {
    const log = folder.file('own/gateway.log');
    const running = await start(['--log-file', log]);
    const untilLogged = async (pattern: RegExp): Promise<void> => {
      while (!existsSync(log) || !pattern.test(readFileSync(log, 'utf8')))
        await new Promise((resolve) => setTimeout(resolve, 10));
    };
    running.signal('SIGHUP');
    await untilLogged(/Reloaded: /);
    equal(times(/Cannot open the log file/, readFileSync(log, 'utf8')), 0);
    renameSync(log, `${log}.1`);
    running.signal('SIGUSR1');
    await untilLogged(/SIGUSR1: the log files were opened anew/);
    equal(times(/Cannot open the log file/, readFileSync(log, 'utf8')), 0);
  },
);
