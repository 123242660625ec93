/** Upgrades of the real program: no request fails, a failing new version changes nothing, nothing is left behind. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:https';
import { after, afterEach, before, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { runSubcommand } from '../../src/command/subcommands.ts';
import { askAdmin, GatewayFolder, MAIN } from '../support/run-gateway.ts';
import { inForm } from '../support/test-form.ts';
import { SteadyLoad } from '../support/upgrade-load.ts';
import { childrenOf, descriptorCount, isRunning, UpgradingGateway } from '../support/upgrading-gateway.ts';
import { WebSocketPeer } from '../support/websocket-peer.ts';

const NOBODY = 65_534;

/** A start takes its time while there is a file `slow`. */
const SCRIPT = `
local httpd = require 'httpd'
local folder = '$FOLDER'
if io.open(folder .. '/slow') then
    local pipe <close> = io.popen('while [ -e "' .. folder .. '/slow" ]; do sleep 0.02; done')
    pipe:read('a')
end
httpd.register_handler('/', function()
    httpd.header{[':status'] = 200, ['content-type'] = 'text/plain'}
    httpd.write(nil, 'one')
end)
httpd.register_handler('/environment', function()
    httpd.header{[':status'] = 200, ['content-type'] = 'text/plain'}
    httpd.write(nil, os.getenv('UPGRADE_TEST') .. '|' .. tostring(os.getenv('LGATEWAY_UPGRADE')))
end)
httpd.register_handler('/who', function()
    local pipe <close> = io.popen('id -u')
    httpd.header{[':status'] = 200, ['content-type'] = 'text/plain'}
    httpd.write(nil, pipe:read('a'))
end)
httpd.register_handler('/echo', function()
    local ws <close> = assert(httpd.websocket())
    for message in ws:messages() do ws:send(message) end
end)
httpd.register_handler('/events', function()
    local stream = assert(httpd.sse())
    stream:send('first')
    while stream:send('more') do httpd.sleep(0.02) end
end)
httpd.register_handler('/long', function()
    httpd.header{[':status'] = 200, ['content-type'] = 'text/plain'}
    httpd.write(nil, 'first')
    while not io.open(folder .. '/last') do httpd.sleep(0.02) end
    httpd.write(nil, 'last')
end)
`;

const ONCE = `
local function note(text)
    local file <close> = assert(io.open('$FOLDER/runs', 'a'))
    file:write(text, '\\n')
end
httpd.timer(0.03, function()
    note('begin')
    httpd.sleep(0.02)
    note('end')
end, {every = 0.03, once = 'tick'})
`;

let folder: GatewayFolder;
let gateway: UpgradingGateway | undefined;
const loads: SteadyLoad[] = [];

before(() => {
  folder = new GatewayFolder();
  chmodSync(folder.path, 0o755);
  symlinkSync(MAIN, folder.file('lgateway'));
  mkdirSync(folder.file('a b'));
  writeFileSync(folder.file('a b/the app.lua'), SCRIPT.replaceAll('$FOLDER', folder.path));
});
afterEach(async () => {
  await Promise.all(loads.splice(0).map((load) => load.stop()));
  await gateway?.stop();
  gateway = undefined;
  for (const name of ['slow', 'last', 'runs', 'pid'])
    if (existsSync(folder.file(name))) unlinkSync(folder.file(name));
});
after(() => folder.remove());

async function start(
  words: readonly string[] = [],
  settings: ConstructorParameters<typeof UpgradingGateway>[2] = {},
): Promise<UpgradingGateway> {
  const script = folder.file('a b/the app.lua');
  const main = folder.file('lgateway');
  gateway = new UpgradingGateway(folder, ['-l', '/', script, ...words], { main, ...settings });
  await gateway.first.ready();
  return gateway;
}

function ask(port: number, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false, rejectUnauthorized: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve(body)).on('error', reject);
    }).on('error', reject);
  });
}

/** Asks without a pause; resolves to what has failed. */
async function failuresOf(admin: string | number, asking: AbortSignal): Promise<string[]> {
  const failures: string[] = [];
  while (!asking.aborted)
    await askAdmin(admin, '/healthz').then(
      ({ status, body }) => (status === 200 ? undefined : failures.push(`status ${status} ${body}`)),
      (error: unknown) => failures.push(String(error)),
    );
  return failures;
}

/** An action of the admin listener. */
function post(socketPath: string, path: string): Promise<{ status: number; body: string }> {
  return askAdmin(socketPath, path, { method: 'POST' });
}

/** Asks for an answer that takes long; `text` grows. */
function begin(port: number, path: string): Promise<{ text: string; ended: boolean; failed: boolean }> {
  return new Promise((resolve, reject) => {
    const seen = { text: '', ended: false, failed: false };
    get({ host: '127.0.0.1', port, path, agent: false, rejectUnauthorized: false }, (response) => {
      response.setEncoding('utf8').on('data', (text: string) => {
        seen.text += text;
        resolve(seen);
      });
      response.on('end', () => {
        seen.ended = true;
      });
      response.on('error', () => {
        seen.failed = true;
      });
    }).on('error', reject);
  });
}

/** One request over a session that may be resumed. */
function resume(
  port: number,
  session: Buffer | undefined,
): Promise<{ reused: boolean; session: Buffer | undefined }> {
  return new Promise((resolve, reject) => {
    const more = session === undefined ? {} : { session };
    const socket: TLSSocket = connect(
      { host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false, ...more },
      () => {
        reused = socket.isSessionReused();
        socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
      },
    );
    let ticket: Buffer | undefined;
    let reused = false;
    socket.on('session', (bytes) => {
      ticket = bytes;
    });
    socket.on('error', reject).resume();
    socket.on('close', () => resolve({ reused, session: ticket }));
  });
}

test('A chain of upgrades fails no request over HTTP/1.1, HTTP/2, WebSockets and event streams, and leaves nothing behind', async () => {
  const script = folder.file('a b/the app.lua');
  writeFileSync(script, (SCRIPT + ONCE).replaceAll('$FOLDER', folder.path));
  const running = await start();
  const { port } = running.first;
  const first = running.pid;
  const descriptors = descriptorCount(first);
  const { session } = await resume(port, undefined);
  const load = new SteadyLoad(port, inForm(15, 5));
  loads.push(load);
  const echo = await WebSocketPeer.connect(port, 'HTTP/1.1', '/echo');
  const events = await begin(port, '/events');
  const long = await begin(port, '/long');
  running.signal('SIGUSR2');
  await running.until(() => running.pid !== first);
  // what the old process serves ends in order there
  await running.until(() => echo.code !== undefined);
  assert.equal(echo.code, 1001);
  await running.until(() => events.ended || events.failed);
  assert.equal(events.failed, false);
  writeFileSync(folder.file('last'), '');
  await running.until(() => long.ended || long.failed);
  assert.deepEqual(long, { text: 'firstlast', ended: true, failed: false });
  await running.until(() => !isRunning(first));
  assert.ok((await resume(port, session)).reused, 'a TLS session of the old process resumes at the new one');
  for (let round = 1; round < inForm(2, 5); round++) await running.upgrade();
  const before = { ...load.answers };
  await running.until(
    () => load.answers.h2 > before.h2 && load.answers.h1 > before.h1 && load.answers.new > before.new,
  );
  await load.stop();
  assert.deepEqual(load.failures, []);
  const runsSoFar = (): string[] => readFileSync(folder.file('runs'), 'latin1').trim().split('\n');
  await running.until(() => runsSoFar().length > 10);
  const runs = runsSoFar();
  assert.deepEqual(
    runs.filter((line, i) => line !== (i % 2 === 0 ? 'begin' : 'end')),
    [],
    'a timer of one worker never runs in two processes at once',
  );
  await running.until(() => descriptorCount(running.pid) <= descriptors);
  assert.deepEqual(childrenOf(running.pid), []);
  assert.deepEqual(
    readdirSync(folder.path).filter((name) => name.startsWith('pid')),
    ['pid', 'pid.outcome'],
  );
  const last = running.pid;
  running.signal('SIGTERM');
  await running.until(() => !isRunning(last) && !existsSync(running.pidFile));
});

test('A new version that cannot serve changes nothing, and the log says why', async () => {
  const script = folder.file('a b/the app.lua');
  writeFileSync(script, SCRIPT.replaceAll('$FOLDER', folder.path));
  const environment = { UPGRADE_TEST: ' a "b"\n c ' };
  const admin = folder.file('admin.sock');
  const words = ['--allow-env', 'UPGRADE_TEST,LGATEWAY_UPGRADE', '--admin', `unix:${admin}`];
  const running = await start(words, { environment });
  const { port } = running.first;
  const { pid } = running;
  const bySignal = ['--pid-file', running.pidFile];
  writeFileSync(script, 'register(');
  assert.match(await running.refusedUpgrade(), /^Cannot load ".*the app\.lua": /);
  const { faults, refused: isRefused } = await runSubcommand('reload', bySignal);
  assert.match(faults.join(), /^lgateway: Cannot load ".*the app\.lua": /);
  assert.equal(isRefused, true);
  writeFileSync(script, SCRIPT.replaceAll('$FOLDER', folder.path));
  assert.match((await runSubcommand('reload', bySignal)).output, /^Reloaded: /);
  // another version where the first was, asked for over the admin listener
  unlinkSync(folder.file('lgateway'));
  const refused = await post(admin, '/upgrade');
  assert.equal(refused.status, 409);
  assert.match(refused.body, /^The new process ended with code 1\n/);
  writeFileSync(folder.file('lgateway'), 'process.exit(3)');
  const bad = await runSubcommand('upgrade', bySignal);
  assert.deepEqual([bad.faults, bad.refused], [['lgateway: The new process ended with code 3'], true]);
  writeFileSync(
    folder.file('lgateway'),
    'process.kill(process.pid, "SIGSEGV"); setTimeout(() => undefined, 10_000)',
  );
  assert.match(await running.refusedUpgrade(), /^The new process ended with SIG/);
  assert.equal(await ask(port), 'one');
  assert.equal(running.pid, pid);
  await running.until(() => childrenOf(pid).length === 0);
  // a reload between upgrades, and an upgrade that works after those that did not
  const reloaded = await post(admin, '/reload');
  assert.equal(reloaded.status, 200);
  assert.match(reloaded.body, /^Reloaded: /);
  unlinkSync(folder.file('lgateway'));
  symlinkSync(MAIN, folder.file('lgateway'));
  const asking = new AbortController();
  const lost = failuresOf(admin, asking.signal);
  const upgraded = await post(admin, '/upgrade');
  assert.equal(upgraded.status, 200, upgraded.body);
  assert.equal(upgraded.body, `Upgraded: process ${running.pid} serves, and this one drains\n`);
  assert.equal(running.log.includes('Admin listener:'), false);
  await running.until(() => !isRunning(pid));
  assert.equal((await post(admin, '/reload')).status, 200, 'the new process has the admin listener');
  asking.abort();
  assert.deepEqual(await lost, [], 'somebody listens on the socket at every moment');
  const second = running.pid;
  const { output } = await runSubcommand('upgrade', bySignal);
  assert.equal(output, `Upgraded: process ${running.pid} serves, and process ${second} drains\n`);
  assert.equal(await ask(port, '/environment'), ' a "b"\n c |nil');
});

test('The admin listener has one port for both processes, where somebody answers at every moment, also when an upgrade fails', async () => {
  const running = await start(['--admin', '127.0.0.1:0']);
  const { pid } = running;
  const place = /Admin listener on http:\/\/127\.0\.0\.1:(\d+) token=(\S+)/g;
  await running.until(() => running.log.includes('Admin listener on '));
  const [[, digits = '', tokenFile = ''] = []] = [...running.log.matchAll(place)];
  const admin = Number(digits);
  const before = readFileSync(tokenFile, 'latin1');
  const asking = new AbortController();
  const failures = failuresOf(admin, asking.signal);
  unlinkSync(folder.file('lgateway'));
  assert.match(await running.refusedUpgrade(), /^The new process ended with code 1$/);
  symlinkSync(MAIN, folder.file('lgateway'));
  await running.upgrade();
  await askAdmin(admin, '/readyz');
  asking.abort();
  assert.deepEqual(await failures, []);
  assert.ok(!isRunning(pid));
  const opened = [...running.log.matchAll(place)].map(([, port]) => Number(port));
  assert.deepEqual(new Set(opened), new Set([admin]));
  assert.notEqual(readFileSync(tokenFile, 'latin1'), before);
  const descriptors = descriptorCount(running.pid);
  await running.upgrade();
  await running.until(() => descriptorCount(running.pid) <= descriptors);
});

test('While an upgrade runs another one and a reload are refused, and SIGTERM ends both processes', async () => {
  const running = await start();
  const { pid } = running;
  writeFileSync(folder.file('slow'), '');
  running.signal('SIGUSR2');
  await running.until(() => childrenOf(pid).length === 1);
  assert.equal(await running.refusedUpgrade(), 'An upgrade is under way');
  running.signal('SIGHUP');
  await running.until(() => running.log.includes('Cannot reload: an upgrade is under way'));
  const [successor = 0] = childrenOf(pid);
  running.signal('SIGTERM');
  assert.deepEqual(await running.first.ended, { code: 0, signal: null });
  assert.ok(!isRunning(successor));
  assert.match(running.log, /Upgrade refused, everything stays as it was: This process ends/);
});

test('A successor whose predecessor is killed serves in its place', async () => {
  const running = await start();
  const { pid } = running;
  const { port } = running.first;
  writeFileSync(folder.file('slow'), '');
  running.signal('SIGUSR2');
  await running.until(() => childrenOf(pid).some((successor) => childrenOf(successor).length > 0));
  running.signal('SIGKILL');
  unlinkSync(folder.file('slow'));
  await running.until(() => running.log.includes(`serves in the place of process ${pid}`));
  await running.until(() => running.pid !== pid);
  assert.equal(await ask(port), 'one');
});

test('Listeners that the configuration has changed are opened, kept or closed by an upgrade', async () => {
  const file = folder.file('gateway.toml');
  const configure = (listeners: string): void =>
    writeFileSync(file, `${listeners}\n[[lua]]\nprefix = "/"\nscript = "a b/the app.lua"\n`);
  const plain = '[[listen]]\nscheme = "http"\naddress = "127.0.0.1"\nport = 0\n';
  configure('');
  const main = folder.file('lgateway');
  gateway = new UpgradingGateway(folder, ['--config', file], { main });
  await gateway.first.ready();
  const { port } = gateway.first;
  configure(plain);
  await gateway.upgrade();
  assert.equal(await ask(port), 'one', 'the first listener is kept');
  const opened = [...gateway.log.matchAll(/Listening on http:\/\/127\.0\.0\.1:(\d+)/g)].map(([, digits]) =>
    Number(digits),
  );
  assert.equal(opened.length, 1, 'another one is opened');
  const descriptors = descriptorCount(gateway.pid);
  configure('');
  await gateway.upgrade();
  const running = gateway;
  await running.until(() => descriptorCount(running.pid) < descriptors);
  await assert.rejects(fetch(`http://127.0.0.1:${opened[0]}/`));
});

test('With -u the new process inherits what that user may not open again', async () => {
  const own = folder.file('nobody');
  mkdirSync(own, { recursive: true });
  const running = await start(['-u', 'nobody'], { pidFile: `${own}/pid` });
  const { port } = running.first;
  // the folder of the pid file has to be that user's
  assert.match(
    await running.refusedUpgrade(),
    /The pid file ".*" cannot be taken over: it lies in a folder that this user may not write to/,
  );
  chownSync(own, NOBODY, NOBODY);
  await running.upgrade();
  assert.equal(await ask(port, '/who'), `${NOBODY}\n`);
});
