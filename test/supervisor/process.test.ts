/** The real program as a process: exit codes, signals, background, user, pid file; Lua scripts over real TLS. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { connect } from 'node:tls';
import { parseCommandLine } from '../../src/config/parse-command-line.ts';
import { testCertificate } from '../support/certificate.ts';
import { LocalGateway } from '../support/local-gateway.ts';
import { ask, GatewayFolder, GatewayProcess, type RunningGateway } from '../support/run-gateway.ts';

const WAIT_MAX_MS = 60_000;
const IS_ROOT = process.getuid?.() === 0;

/** `/` answers who it is, `/slow` waits for the file `go`, `/id` says as which user it runs. */
const SCRIPT = (version: string): string => `
local httpd = require 'httpd'
local function text(handler)
    return function(env, header)
        httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}
        handler(env, header)
    end
end
httpd.register_handler('/', text(function(env)
    httpd.write(nil, '${version} ' .. env.WORKER_ID)
end))
httpd.register_handler('/slow', text(function()
    local pipe = io.popen('while [ ! -e ${folder.file('go')} ]; do sleep 0.05; done; echo done')
    httpd.write(nil, httpd.read(pipe, 100))
    pipe:close()
end))
httpd.register_handler('/id', text(function()
    local pipe = io.popen('id -u; id -g; id -G')
    httpd.write(nil, httpd.read(pipe, 1000))
    pipe:close()
end))
`;

let folder: GatewayFolder;
let script: string;
let running: GatewayProcess[] = [];
let local: LocalGateway[] = [];

before(() => {
  folder = new GatewayFolder();
  script = folder.file('app.lua');
});
beforeEach(() => {
  writeFileSync(script, SCRIPT('one'));
  rmSync(folder.file('go'), { force: true });
});
afterEach(async () => {
  await Promise.all([...running, ...local].map((one) => one.stop()));
  [running, local] = [[], []];
});
after(() => folder.remove());

function run(...words: string[]): GatewayProcess {
  const process = new GatewayProcess(folder, words);
  running.push(process);
  return process;
}

/** The usual command line, one worker; words given here replace those of the same option. */
function serve(...words: string[]): GatewayProcess {
  return run(...usualWith(words));
}

/** The same inside this process, for what does not look at the process: its start costs a third. */
function serveLocally(...words: string[]): Promise<LocalGateway> {
  const gateway = new LocalGateway(usualWith(words));
  local.push(gateway);
  return gateway.ready();
}

function usualWith(words: readonly string[]): string[] {
  const usual = [
    ['-c', folder.certificate],
    ['-k', folder.key],
    ['-l', '/', script],
    ['-a', '127.0.0.1'],
    ['-p', '0'],
    ['-w', '1'],
  ];
  return [...usual.filter(([option = '']) => !words.includes(option)).flat(), ...words];
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const limit = performance.now() + WAIT_MAX_MS;
  while (!(await holds())) {
    assert.ok(performance.now() < limit, what);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // ended, and nobody has asked for its status yet
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** One gateway with two workers for the tests that only ask, until the test of its counters ends it. */
let pair: Promise<GatewayProcess> | undefined;
function startPair(): Promise<GatewayProcess> {
  pair ??= startApart('-w', '2', '--log-level', 'error', ...folder.adminWords('pair.sock'));
  return pair;
}

/** A gateway that outlives its test. */
async function startApart(...words: string[]): Promise<GatewayProcess> {
  const gateway = serve(...words);
  running = running.filter((one) => one !== gateway);
  apart.push(gateway);
  return await gateway.ready();
}
const apart: GatewayProcess[] = [];
after(async () => {
  await Promise.all(apart.map((one) => one.stop()));
});

test('lgateway serves one port from all workers', async () => {
  const gateway = await startPair();
  const seen = new Set<string>();
  await until(async () => seen.add((await gateway.ask('/')).body).size === 2, 'both workers answer');
  assert.deepEqual([...seen].sort(), ['one 1', 'one 2']);
});

test('lgateway finishes a running request after SIGTERM and refuses new connections', async () => {
  const gateway = await serveLocally();
  const { port } = gateway;
  const slow = ask(folder, port, '/slow');
  await until(async () => (await exchanges(gateway)) === 1, 'the slow request runs');
  gateway.signal('SIGTERM');
  await until(
    () =>
      ask(folder, port, '/').then(
        () => false,
        (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
      ),
    'new connections are refused',
  );
  writeFileSync(folder.file('go'), '');
  assert.deepEqual(await slow, { status: 200, body: 'done\n' });
  assert.equal(await gateway.ended, 'drained');
});

test('lgateway ends at once with 1 on a second signal', async () => {
  const gateway = await serve(...folder.adminWords()).ready();
  const slow = assert.rejects(gateway.ask('/slow'));
  await until(async () => (await exchanges(gateway)) === 1, 'the slow request runs');
  gateway.child.kill('SIGTERM');
  await gateway.until(() => gateway.stderr.includes('draining'));
  gateway.child.kill('SIGTERM');
  assert.deepEqual(await gateway.ended, { code: 1, signal: null });
  await slow;
});

test('lgateway cuts what is left when the drain limit has passed', async () => {
  const gateway = await serveLocally('--drain-timeout', '0.1');
  const slow = assert.rejects(ask(folder, gateway.port, '/slow'));
  await until(async () => (await exchanges(gateway)) === 1, 'the slow request runs');
  gateway.signal('SIGTERM');
  assert.equal(await gateway.ended, 'cut');
  assert.match(gateway.stderr, /The drain limit has passed/);
  await slow;
});

test('lgateway lives on after SIGPIPE and SIGUSR1, and opens no debugger', async () => {
  const gateway = await startPair();
  gateway.child.kill('SIGPIPE');
  gateway.child.kill('SIGUSR1');
  assert.match((await gateway.ask('/')).body, /^one [12]$/);
  assert.doesNotMatch(gateway.stderr, /Debugger/);
});

test('lgateway reloads scripts on SIGHUP without losing a request; a broken one leaves the old, and the log says why', async () => {
  const gateway = await serveLocally('-w', '2');
  const answer = async (): Promise<string> => (await ask(folder, gateway.port, '/')).body;
  let asking = true;
  const answers: string[] = [];
  const load = Array.from({ length: 4 }, async () => {
    while (asking) answers.push(await answer());
  });
  for (const version of ['two', 'three']) {
    writeFileSync(script, SCRIPT(version));
    gateway.signal('SIGHUP');
    await until(() => answers.at(-1)?.startsWith(version) === true, `${version} answers`);
  }
  asking = false;
  await Promise.all(load);
  assert.ok(answers.every((text) => /^(one|two|three) [12]$/.test(text)));
  for (let i = 0; i < 10; i++) assert.match(await answer(), /^three [12]$/);
  writeFileSync(script, 'local x = = 1');
  gateway.signal('SIGHUP');
  await gateway.until(() => /Reload refused.*app\.lua:1:/.test(gateway.stderr));
  // as an editor leaves it for a moment
  writeFileSync(script, '');
  gateway.signal('SIGHUP');
  await gateway.until(() => /Reload refused.*neither registers a handler/.test(gateway.stderr));
  for (let i = 0; i < 10; i++) assert.match(await answer(), /^three [12]$/);
});

test('lgateway reads the certificate again on SIGHUP', async () => {
  const own = new GatewayFolder();
  const words = [
    '-c',
    own.certificate,
    '-k',
    own.key,
    '-l',
    '/',
    script,
    '-a',
    '127.0.0.1',
    '-p',
    '0',
    '-w',
    '2',
  ];
  const gateway = await new LocalGateway(words).ready();
  const before = fileFingerprint(own.certificate);
  assert.equal(await fingerprintOf(gateway.port), before);
  const other = testCertificate('rsa');
  writeFileSync(own.certificate, other.cert);
  writeFileSync(own.key, other.key);
  gateway.signal('SIGHUP');
  const wanted = fileFingerprint(own.certificate);
  assert.notEqual(wanted, before);
  await until(async () => (await fingerprintOf(gateway.port)) === wanted, 'the new certificate is shown');
  for (let i = 0; i < 6; i++) assert.equal(await fingerprintOf(gateway.port), wanted);
  await gateway.stop();
  own.remove();
});

test('lgateway resumes a TLS session in any worker', async () => {
  const gateway = await startPair();
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const first = await tlsSession(gateway.port, version, undefined);
    assert.equal(first.reused, false);
    const workers = new Set<string>();
    const limit = performance.now() + WAIT_MAX_MS;
    for (let i = 0; i < 20 || workers.size < 2; i++) {
      assert.ok(performance.now() < limit, 'both workers answer');
      const next = await tlsSession(gateway.port, version, first.session);
      assert.equal(next.reused, true, `${version}: worker ${next.body} resumes`);
      workers.add(next.body);
    }
  }
});

test('lgateway opens scripts and matches prefixes with any letters; --access-log writes a line for each request', async () => {
  const name = folder.file('größe.lua');
  writeFileSync(name, SCRIPT('groß'));
  // `serve` leaves its own mapping out where one is given
  const gateway = await serveLocally('-l', '/maß', name, '-l', '/', script, '--access-log');
  const { port } = gateway;
  await ask(folder, port, '/?q=a%20b');
  await ask(folder, port, '/none');
  await gateway.until(() => gateway.stderr.match(/ access /g)?.length === 2);
  assert.match(
    gateway.stderr,
    / info worker-1 access GET \/\?q=a%20b peer=127\.0\.0\.1 protocol=HTTP\/1\.1 status=200 bytes=5 ms=/,
  );
  assert.match(gateway.stderr, / access GET \/none .* status=404 /);
  const { status, body } = await ask(folder, port, '/ma%C3%9F/');
  assert.equal(status, 200);
  assert.match(Buffer.from(body, 'latin1').toString(), /^groß [12]$/);
  gateway.signal('SIGINT');
  assert.equal(await gateway.ended, 'drained');
});

test('The admin listener tells the counters of each worker, and SIGTERM ends lgateway with 0', async () => {
  const gateway = await startPair();
  const total = async (): Promise<number> => {
    const { workers } = await gateway.counters();
    assert.equal(workers.length, 2);
    return workers.reduce((sum, { exchangesTotal }) => sum + exchangesTotal, 0);
  };
  const before = await total();
  await gateway.ask('/');
  assert.equal((await total()) - before, 1);
  // and SIGTERM ends it with 0
  gateway.child.kill('SIGTERM');
  assert.deepEqual(await gateway.ended, { code: 0, signal: null });
  assert.equal(existsSync(folder.file('pair.sock')), false, 'the socket is removed');
  pair = undefined;
});

test('lgateway with a port in use ends with 1 and one clear line', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const address = taken.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const pidFile = folder.file('taken.pid');
  const gateway = serve('--pid-file', pidFile, '-p', `${port}`);
  assert.deepEqual(await gateway.ended, { code: 1, signal: null });
  assert.equal(
    gateway.stderr,
    `lgateway: Cannot listen on 127.0.0.1:${port}: the port is in use by another program; -p (--port) takes another, 0 any free one\n`,
  );
  assert.equal(gateway.stdout, '');
  assert.ok(!existsSync(pidFile));
  taken.close();
});

test('lgateway with a broken script ends with 1, file, line and traceback', async () => {
  writeFileSync(script, 'local function inner()\n  error("no luck")\nend\ninner()\n');
  const pidFile = folder.file('broken.pid');
  const gateway = serve('--pid-file', pidFile);
  assert.deepEqual(await gateway.ended, { code: 1, signal: null });
  assert.match(gateway.stderr, /^lgateway: .*app\.lua:2: no luck\n.*stack traceback:\n.*app\.lua:4/s);
  assert.equal(gateway.stdout, '');
  assert.ok(!existsSync(pidFile));
});

test('lgateway with a missing or wrong script or key ends with 1 and says what is wrong with it', async () => {
  const gateway = serve('-k', folder.file('none.pem'));
  assert.deepEqual(await gateway.ended, { code: 1, signal: null });
  assert.match(gateway.stderr, /none\.pem/);
  assert.equal(gateway.stderr.match(/^lgateway: /gm)?.length, 1);
  // the message of any start that fails comes in this way
  for (const [words, message] of [
    [['-l', '/', folder.file('none.lua')], /none\.lua/],
    [['--mode', 'luvit'], /the script returns no app: a function\(read, write\) or function\(request\)/],
    [['--mode', 'luars'], /the script neither returns a function nor defines handle_request/],
  ] as const) {
    const local = new LocalGateway(usualWith(words));
    await assert.rejects(local.ready(), { name: 'GatewayError', message });
    await local.stop();
  }
});

test('lgateway with a bad option ends with 2 and names it', async () => {
  const gateway = run('-p', '70000');
  assert.deepEqual(await gateway.ended, { code: 2, signal: null });
  assert.match(gateway.stderr, /^lgateway: Option -p \(--port\) wants a port/);
  for (const [words, wanted] of [
    [['--nonsense'], /--nonsense/],
    [['-c', 'cert.pem'], /^Options -c \(--cert\) and -k \(--key\) go together/],
  ] as const) {
    const result = parseCommandLine(words);
    assert.match(result.kind === 'usage-error' ? result.message : result.kind, wanted);
  }
});

test('lgateway --version and --help end with 0 on standard output', async () => {
  for (const [word, wanted] of [
    ['--version', /^lgateway \d+\.\d+\.\d+\n$/],
    ['--help', /--lua/],
  ] as const) {
    const gateway = run(word);
    assert.deepEqual(await gateway.ended, { code: 0, signal: null });
    assert.match(gateway.stdout, wanted);
    assert.equal(gateway.stderr, '');
  }
});

test('lgateway -D returns 0 when it serves, leaves a pid file and a log, and ends on SIGTERM', async () => {
  const pidFile = folder.file('background.pid');
  const logFile = folder.file('background.log');
  const first = serve('-D', '--pid-file', pidFile, '--log-file', logFile);
  assert.deepEqual(await first.ended, { code: 0, signal: null });
  const pid = Number(readFileSync(pidFile, 'utf8'));
  try {
    assert.match((await first.ask('/')).body, /^one [12]$/);
    assert.notEqual(pid, first.pid);
    const second = serve('-D', '--pid-file', pidFile);
    assert.deepEqual(await second.ended, { code: 1, signal: null });
    assert.match(
      second.stderr,
      new RegExp(`^lgateway: The pid file ".*" belongs to the running process ${pid}\n$`),
    );
    renameSync(logFile, `${logFile}.1`);
    process.kill(pid, 'SIGHUP');
    await until(() => existsSync(logFile) && readFileSync(logFile, 'utf8').includes('Reloaded'), 'a new log');
  } finally {
    process.kill(pid, 'SIGTERM');
  }
  await until(() => !isAlive(pid), 'the background process ends');
  assert.ok(!existsSync(pidFile));
  await assert.rejects(first.ask('/'), /ECONNREFUSED/);
});

test('lgateway -D returns 1 with the reason when it cannot serve', async () => {
  writeFileSync(script, 'error("no luck")');
  const gateway = serve('-D');
  assert.deepEqual(await gateway.ended, { code: 1, signal: null });
  assert.match(gateway.stderr, /^lgateway: .*app\.lua:1: no luck/);
  assert.equal(gateway.stdout, '');
});

test('lgateway -u lets every thread and every command run as that user, with a key only root can read', async () => {
  if (!IS_ROOT) return await refusesOrdinaryUser(undefined);
  chmodSync(folder.path, 0o755);
  const gateway = await serve('-u', 'nobody').ready();
  const uid = execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }).trim();
  const gid = execFileSync('id', ['-g', 'nobody'], { encoding: 'utf8' }).trim();
  assert.deepEqual((await gateway.ask('/id')).body.split('\n').slice(0, 3), [uid, gid, gid]);
  const threads = readdirSync(`/proc/${gateway.pid}/task`);
  assert.ok(threads.length > 4);
  for (const thread of threads) {
    const status = readFileSync(`/proc/${gateway.pid}/task/${thread}/status`, 'latin1');
    assert.deepEqual(/^Uid:\t(.*)$/m.exec(status)?.[1]?.split('\t'), [uid, uid, uid, uid]);
    assert.deepEqual(/^Gid:\t(.*)$/m.exec(status)?.[1]?.split('\t'), [gid, gid, gid, gid]);
  }
  assert.doesNotMatch(gateway.stderr, /cannot read/);
  // the opener reads the key again
  writeFileSync(script, SCRIPT('two'));
  gateway.child.kill('SIGHUP');
  await until(async () => (await gateway.ask('/')).body.startsWith('two'), 'the new script answers');
  await until(() => gateway.stderr.includes('Reloaded: '), 'the end of the reload');
  assert.match(
    gateway.stderr,
    /Reloaded: new requests go to the scripts and the certificate as they are now/,
  );
});

test('lgateway -u started by an ordinary user ends with 1', async () => {
  chmodSync(folder.path, 0o755);
  chmodSync(folder.key, 0o644);
  await refusesOrdinaryUser(
    IS_ROOT ? Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' })) : undefined,
  );
  chmodSync(folder.key, 0o600);
});

async function refusesOrdinaryUser(uid: number | undefined): Promise<void> {
  const words = ['-c', folder.certificate, '-k', folder.key, '-l', '/', script, '-p', '0', '-u', 'daemon'];
  const gateway = new GatewayProcess(folder, words, uid === undefined ? {} : { uid });
  running.push(gateway);
  assert.deepEqual(await gateway.ended, { code: 1, signal: null });
  assert.equal(gateway.stderr, 'lgateway: Cannot become user "daemon": only root may change its user\n');
}

test('lgateway -u with an unknown user ends with 1 and names it', async () => {
  const gateway = serve('-u', 'no-such-user');
  assert.deepEqual(await gateway.ended, { code: 1, signal: null });
  assert.equal(gateway.stderr, 'lgateway: There is no user "no-such-user"\n');
});

test('The process ends with exit code 3 when workers end again and again before they serve', async () => {
  const crash = folder.file('crash');
  const preload = folder.file('crash.mjs');
  // threads crash from the moment when a file is there; the pauses of the main thread are short, but not the time for its last words
  writeFileSync(
    preload,
    `import { existsSync } from 'node:fs';
     import { isMainThread } from 'node:worker_threads';
     if (isMainThread) {
       const real = setTimeout;
       globalThis.setTimeout = (call, ms, ...rest) => real(call, ms >= 100 && ms <= 10_000 && ms !== 1000 ? 1 : ms, ...rest);
     } else setInterval(() => { if (existsSync(${JSON.stringify(crash)})) throw new Error('the test wants a crash'); }, 5).unref();`,
  );
  const words = ['-w', '1', '-p', '0', '-c', folder.certificate, '-k', folder.key, script];
  const gateway = new GatewayProcess(folder, words, {
    environment: { NODE_OPTIONS: `--import=${preload}` },
  });
  running.push(gateway);
  await gateway.ready();
  writeFileSync(crash, '');
  assert.deepEqual(await gateway.ended, { code: 3, signal: null });
  assert.match(
    gateway.stderr,
    /The gateway ends: Workers have ended 10 times within 120 s, and none of them has served/,
  );
});

test('The process ends after SIGTERM though a call of the system holds up a thread', async () => {
  const hang = folder.file('hang');
  const pipe = folder.file('pipe');
  execFileSync('mkfifo', [pipe]);
  const preload = folder.file('hang.mjs');
  writeFileSync(
    preload,
    `import { existsSync, readFileSync } from 'node:fs';
     import { isMainThread } from 'node:worker_threads';
     const look = () => {
       // as text: it is one call of the system's, from opening it to its end
       if (existsSync(${JSON.stringify(hang)})) readFileSync(${JSON.stringify(pipe)}, 'utf8');
     };
     if (!isMainThread) setInterval(look, 5).unref();`,
  );
  const words = ['-w', '1', '-p', '0', '--drain-timeout', '0', script];
  const certificate = ['-c', folder.certificate, '-k', folder.key];
  const gateway = new GatewayProcess(folder, [...certificate, ...words], {
    environment: { NODE_OPTIONS: `--import=${preload}` },
  });
  running.push(gateway);
  await gateway.ready();
  writeFileSync(hang, '');
  let end = 0;
  await until(() => {
    try {
      // succeeds when somebody has opened it to read
      end = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
      return true;
    } catch {
      return false;
    }
  }, 'a thread hangs');
  gateway.signal('SIGTERM');
  assert.deepEqual(await gateway.ended, { code: 0, signal: null });
  closeSync(end);
  assert.match(gateway.stderr, /The thread of worker 1 does not end: a call of the system holds it up/);
});

/** Open exchanges of the one worker. */
async function exchanges(gateway: RunningGateway): Promise<number> {
  const { workers } = await gateway.counters();
  return workers.reduce((total, { exchanges }) => total + exchanges, 0);
}

/** One request on a connection that offers `session`; the session to resume next time. */
function tlsSession(
  port: number,
  version: 'TLSv1.2' | 'TLSv1.3',
  session: Buffer | undefined,
): Promise<{ reused: boolean; session: Buffer | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: '127.0.0.1',
      port,
      servername: 'localhost',
      minVersion: version,
      maxVersion: version,
      ca: readFileSync(folder.certificate),
      ...(session === undefined ? {} : { session }),
    });
    let text = '';
    let latest: Buffer | undefined;
    socket.on('session', (ticket) => {
      latest = ticket;
    });
    socket.on('secureConnect', () => {
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    });
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('end', () => {
      resolve({ reused: socket.isSessionReused(), session: latest, body: /one \d/.exec(text)?.[0] ?? '' });
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

function fingerprintOf(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

function fileFingerprint(file: string): string {
  return new X509Certificate(readFileSync(file)).fingerprint256;
}
