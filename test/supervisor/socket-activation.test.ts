/** The real program on sockets it was started with: by systemd's own launcher, and by one that gives it several. */
import assert from 'node:assert/strict';
import { chmodSync, closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { freePorts } from '../support/free-ports.ts';
import { type ListeningSocket, listeningSocket } from '../support/inherited-socket.ts';
import { realSupervisor } from '../support/real-supervisor.ts';
import { ask, GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { waitFor } from '../support/test-front-end.ts';

const NOBODY = 65_534;
const WAIT_MAX_MS = 60_000;

const script = (version: string): string => `local httpd = require 'httpd'
httpd.register_handler('/', function(env)
    httpd.header{[':status'] = 200}
    httpd.write(nil, '${version} ' .. env.SCHEME .. ' ' .. env.WORKER_ID)
end)
httpd.register_handler('/variables', function()
    local pipe = assert(io.popen('env; ls -l /proc/self/fd'))
    httpd.header{[':status'] = 200}
    httpd.write(nil, pipe:read('a'))
    pipe:close()
end)`;

let folder: GatewayFolder;
const running: GatewayProcess[] = [];
const sockets: ListeningSocket[] = [];

before(() => {
  folder = new GatewayFolder();
  // nobody has to read the script
  chmodSync(folder.path, 0o755);
  writeFileSync(folder.file('app.lua'), script('one'));
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
  for (const socket of sockets.splice(0)) socket.close();
});
after(() => folder.remove());

async function open(): Promise<ListeningSocket> {
  const socket = await listeningSocket();
  sockets.push(socket);
  return socket;
}

/** One worker, unless `more` says otherwise. */
function words(...more: string[]): string[] {
  const certificate = ['-c', folder.certificate, '-k', folder.key];
  const workers = more.includes('-w') ? [] : ['-w', '1'];
  return [...certificate, '-l', '/', folder.file('app.lua'), ...workers, ...more];
}

function launch(
  more: readonly string[],
  settings: ConstructorParameters<typeof GatewayProcess>[2],
): GatewayProcess {
  const started = new GatewayProcess(folder, words(...more), settings);
  running.push(started);
  return started;
}

function askPlain(port: number, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let body = '';
      response.setEncoding('latin1').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve(body));
    }).on('error', reject);
  });
}

function connected(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.once('error', reject);
  });
}

/** systemd-socket-activate starts the program only when somebody connects, and does not listen at once. */
async function knock(port: number): Promise<Socket> {
  const limit = performance.now() + WAIT_MAX_MS;
  for (;;) {
    try {
      return await connected(port);
    } catch (error) {
      if (performance.now() > limit) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

test('M2: systemd-socket-activate hands over one socket, which serves TLS', async () => {
  const [port = 0] = await freePorts(1);
  const started = launch(['-a', '192.0.2.1', '-p', '1'], {
    launcher: ['systemd-socket-activate', '-l', `127.0.0.1:${port}`],
  });
  const first = await knock(port);
  await started.ready();
  first.destroy();
  assert.equal(started.port, port);
  assert.match(started.stderr, /supervisor \*\* Using preopened socket FD 3 \*\*/);
  assert.match((await ask(folder, port, '/')).body, /^one https 1$/);
});

test('M2: systemd-socket-activate names two sockets, and the one called http is cleartext', async () => {
  const [secure = 0, plain = 0] = await freePorts(2);
  const started = launch([], {
    launcher: [
      'systemd-socket-activate',
      ...['-l', `127.0.0.1:${plain}`, '-l', `127.0.0.1:${secure}`, '--fdname=http:web'],
    ],
  });
  const first = await knock(plain);
  await started.until(() => / serves http:.* and https:/.test(started.stdout));
  first.destroy();
  assert.match(await askPlain(plain), /^one http 1$/);
  assert.match((await ask(folder, secure, '/')).body, /^one https 1$/);
});

test('M2: all workers accept on each of several inherited sockets, cleartext and TLS, which no program of a script sees', async () => {
  const [one, two, three] = [await open(), await open(), await open()];
  const started = launch(['-w', '2'], {
    inherited: [one.descriptor, two.descriptor, three.descriptor],
    environment: { LISTEN_FDS: '3', LISTEN_FDNAMES: 'https:http:other' },
  });
  await started.ready();
  for (const port of [one.port, three.port]) assert.match((await ask(folder, port, '/')).body, /^one https/);
  const seen = new Set<string>();
  for (const limit = performance.now() + WAIT_MAX_MS; seen.size < 2 && performance.now() < limit; ) {
    const answers = await Promise.all(Array.from({ length: 8 }, () => askPlain(two.port)));
    for (const answer of answers) seen.add(answer);
  }
  assert.deepEqual([...seen].sort(), ['one http 1', 'one http 2']);
  // programs of scripts see neither the variables nor the sockets
  const variables = await askPlain(two.port, '/variables');
  assert.doesNotMatch(variables, /LISTEN_/);
  for (const { descriptor } of [one, two, three]) {
    const inode = /socket:\[\d+\]/.exec(readInode(descriptor))?.[0] ?? 'none';
    assert.ok(!variables.includes(inode), variables);
  }
});

function readInode(descriptor: number): string {
  const line = readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1');
  return `socket:[${/^ino:\s+(\d+)$/m.exec(line)?.[1] ?? '?'}]`;
}

test('M2: Where LISTEN_PID is the id of another process the sockets are not taken', async () => {
  const socket = await open();
  const other = launch(['-a', '127.0.0.1', '-p', '0'], {
    inherited: [socket.descriptor],
    environment: { LISTEN_FDS: '1', LISTEN_PID: '1' },
  });
  await other.ready();
  assert.notEqual(other.port, socket.port);
  assert.match(other.stderr, /warn supervisor LISTEN_PID is "1" and this process is \d+/);
});

test('M2: an inherited socket outlives reloads, and the gateway itself', async () => {
  writeFileSync(folder.file('app.lua'), script('one'));
  const socket = await open();
  const started = launch(['-w', '2'], { inherited: [socket.descriptor], environment: { LISTEN_FDS: '1' } });
  await started.ready();
  writeFileSync(folder.file('app.lua'), script('two'));
  started.child.kill('SIGHUP');
  await started.until(() => /Reloaded|reloaded/.test(started.stderr));
  for (let i = 0; i < 10; i++) assert.match((await ask(folder, socket.port, '/')).body, /^two https/);
  started.child.kill('SIGTERM');
  assert.deepEqual(await started.ended, { code: 0, signal: null });
  // the one who bound the socket still has it: connections wait for the next program
  const waiting = await connected(socket.port);
  waiting.destroy();
  writeFileSync(folder.file('app.lua'), script('one'));
});

test('M2: a worker that is replaced accepts on the inherited socket again', async () => {
  // the supervisor closes it
  const { descriptor, port } = await listeningSocket();
  const lines: string[] = [];
  const module = new URL('../embed/modules/answers.js', import.meta.url).href;
  const supervisor = realSupervisor(folder, lines, {
    inherited: [{ descriptor, scheme: 'http' }],
    mappings: [{ prefix: '/', script: module, kind: 'module' }],
    workers: 1,
  });
  await supervisor.start();
  try {
    await askPlain(port, '/crash').catch(() => undefined);
    await waitFor(() => lines.some((line) => line.includes('Worker 1 serves again')), 'the next worker');
    assert.equal(await askPlain(port, '/worker'), '1');
  } finally {
    await supervisor.stop();
  }
  await assert.rejects(connected(port), /ECONNREFUSED/);
});

test('M2: the background process gets the sockets, one and several', async () => {
  const [one, two] = [await open(), await open()];
  const pidFile = folder.file('pid');
  const first = launch(['-D', '--pid-file', pidFile], {
    inherited: [one.descriptor, two.descriptor],
    environment: { LISTEN_FDS: '2', LISTEN_FDNAMES: 'http:https' },
    launcher: ['sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh'],
  });
  assert.deepEqual(await first.ended, { code: 0, signal: null });
  try {
    assert.match(await askPlain(one.port), /^one http/);
    assert.match((await ask(folder, two.port, '/')).body, /^one https/);
  } finally {
    process.kill(Number(readFileSync(pidFile, 'latin1')), 'SIGKILL');
  }
});

test('M5: an inherited socket needs no right to bind: it serves under -u nobody and as nobody', async () => {
  const socket = await open();
  const dropped = launch(['-u', 'nobody'], {
    inherited: [socket.descriptor],
    environment: { LISTEN_FDS: '1', LISTEN_FDNAMES: 'http' },
  });
  await dropped.until(() => / serves http:/.test(dropped.stdout));
  assert.match(await askPlain(socket.port), /^one http/);
  assert.match(
    readFileSync(`/proc/${dropped.pid}/status`, 'latin1'),
    new RegExp(`^Uid:\\s+${NOBODY}\\s`, 'm'),
  );
});

test('M2: what is no listening TCP socket ends the start with code 1 and says why', async () => {
  const file = openSync('/dev/null', 'r');
  const listening = await open();
  const client = await connected(listening.port);
  const { _handle: handle } = client as unknown as { _handle: { fd: number } };
  const local = createServer().listen(folder.file('unix.sock'));
  await new Promise((resolve) => local.once('listening', resolve));
  const { _handle: localHandle } = local as unknown as { _handle: { fd: number } };
  const cases: readonly (readonly [number[], string, string])[] = [
    [[file], '1', 'Cannot listen on descriptor 3: it is not a socket'],
    [[handle.fd], '1', 'Cannot listen on descriptor 3: it does not listen'],
    [[localHandle.fd], '1', 'Cannot listen on descriptor 3: it is not a TCP socket'],
    [[listening.descriptor], '64', 'Cannot listen on descriptor 4: it is not a'],
    [[], 'many', 'LISTEN_FDS is "many" and has to be a number of sockets from 0 to 64'],
  ];
  try {
    for (const [inherited, count, message] of cases) {
      const started = launch([], { inherited, environment: { LISTEN_FDS: count } });
      assert.deepEqual(await started.ended, { code: 1, signal: null }, message);
      assert.ok(started.stderr.includes(`lgateway: ${message}`), started.stderr);
    }
  } finally {
    closeSync(file);
    client.destroy();
    local.close();
  }
});
