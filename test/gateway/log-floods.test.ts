/** Floods of log lines, by scripts, programs and clients: others are served, memory stays, and what is dropped is told. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { after, test } from 'node:test';
import { GatewayFolder, MAIN } from '../support/run-gateway.ts';
import { inForm } from '../support/test-form.ts';
import { TestGateway, usualWords } from '../support/test-gateway.ts';

const MIB = 1024 * 1024;
/** The log of a mapping: 64 KiB a second, and 256 KiB at once. */
const WORDS = ['--max-log', '64K', '--cpu-limit', '0.1'];
/** What all floods together may write, with what the seconds of a slow machine allow. */
const LOG_BYTES_MAX = 4 * MIB;
const GROWTH_BYTES_MAX = 120 * MIB;

const FLOODS: Readonly<Record<string, string>> = {
  'httpd.log': `while true do httpd.log('info', long) end`,
  print: `while true do print(long) end`,
  'print of little': `while true do print(1) end`,
  'print of many': `local t = table.pack(('x'):rep(50000):byte(1, -1)) while true do print(table.unpack(t)) end`,
  'io.write': `while true do io.write(long, '\\n') end`,
  'io.write of lines': `local lines = ('\\n'):rep(16384) while true do io.stdout:write(lines) end`,
  'io.stderr': `while true do io.stderr:write(long) end`,
  'httpd.write(io.stdout)': `while true do httpd.write(io.stdout, long) end`,
  warn: `warn('@on') while true do warn(long) end`,
  'errors of tasks': `while true do httpd.wait(httpd.spawn(error, long)) end`,
  timers: `while true do local t = httpd.timer(0, function() error(long) end) httpd.sleep(0) end`,
};

function scriptOf(flood: string): string {
  return `local httpd = require 'httpd'
local long = ('x'):rep(65536)
httpd.register_handler('/', function() httpd.header{[':status'] = '200'} ${flood} end, {timeout = 1})`;
}

const HONEST = `local httpd = require 'httpd'
httpd.register_handler('/', function() print('honest') httpd.header{[':status'] = '200'} httpd.write(nil, 'here') end)`;

interface Flooded {
  readonly gateway: TestGateway;
  /** Resident bytes before the first flood: all floods together may add GROWTH_BYTES_MAX. */
  readonly before: number;
}

/** One gateway for the floods of scripts and of a program. */
let started: Promise<Flooded> | undefined;
function flooded(): Promise<Flooded> {
  started ??= startFlooded();
  return started;
}
after(async () => (await started)?.gateway.stop());

async function startFlooded(): Promise<Flooded> {
  const scripts = Object.fromEntries(
    Object.values(FLOODS).map((flood, i) => [`/flood-${i}`, scriptOf(flood)] as const),
  );
  const program = scriptOf(`os.execute('yes >&2')`);
  const all = { ...scripts, '/program': program, '/honest': HONEST };
  const gateway = await TestGateway.start(all, { words: WORDS, apart: true });
  return { gateway, before: gateway.residentBytes };
}

test('A script that floods the log is ended at its limit, and its log is cut and counted', async () => {
  const { gateway, before } = await flooded();
  for (const [i, name] of Object.keys(FLOODS).entries()) {
    const flood = gateway.ask('h2', `/flood-${i}/`);
    assert.equal((await gateway.ask('h1', '/honest/')).text, 'here', name);
    const { cut, status } = await flood;
    assert.ok(cut || status === 500, `${name} was ended`);
  }
  assert.ok(
    gateway.residentBytes - before < GROWTH_BYTES_MAX,
    `${gateway.residentBytes - before} bytes more`,
  );
  await gateway.untilLog(
    /Log lines of a mapping were dropped: .* mapping=\/flood-0 lines=\d+ bytes=\d+ bytesPerSecond=65536/,
  );
  assert.ok(gateway.log.length < LOG_BYTES_MAX, `${gateway.log.length} bytes of log`);
  const honest = (): number => [...gateway.log.matchAll(/ honest mapping/g)].length;
  await gateway.running.until(() => honest() >= Object.keys(FLOODS).length);
  assert.equal(honest(), Object.keys(FLOODS).length);
});

test('A program that floods the log is slowed down, and ends with its request', async () => {
  const { gateway, before } = await flooded();
  const logged = gateway.log.length;
  const flood = gateway.ask('h2', '/program/');
  for (let i = 0; i < 10; i++) assert.equal((await gateway.ask('h1', '/honest/')).text, 'here');
  const { cut, status } = await flood;
  assert.ok(cut || status === 500);
  await gateway.untilIdle();
  assert.ok(gateway.residentBytes - before < GROWTH_BYTES_MAX);
  const added = gateway.log.length - logged;
  assert.ok(added < LOG_BYTES_MAX, `${added} bytes of log`);
});

test('A log that nobody reads makes nothing grow, holds up nobody, and keeps nothing from ending', async () => {
  const folder = new GatewayFolder();
  writeFileSync(folder.file('app.lua'), HONEST);
  const words = [...usualWords(folder), '--access-log', '--max-log', '0', '-l', '/', folder.file('app.lua')];
  // standard error is a pipe that is never read
  const child = spawn(process.execPath, [MAIN, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let banner = '';
  const port = await new Promise<number>((resolve) =>
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      banner += text;
      const found = / serves https:\/\/[^ ]*:(\d+)\//.exec(banner);
      if (found !== null) resolve(Number(found[1]));
    }),
  );
  const session = connect(`https://localhost:${port}`, { rejectUnauthorized: false });
  const path = `/?${'x'.repeat(2000)}`;
  const ask = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':path': path });
      stream.on('error', reject);
      stream.resume().on('end', resolve);
    });
  // some MB of lines, each with a long target: more than the queue of the log holds, and three times as much in the long form
  for (let i = 0; i < inForm(12, 24); i++) await Promise.all(Array.from({ length: 64 }, ask));
  session.destroy();
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
  child.stderr.destroy();
  folder.remove();
});
