/** The access log of a running gateway: files that are exchanged under load, times, targets that a reload changes, pipes that stand still. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { after, test } from 'node:test';
import { systemCodeOf } from '../../src/base/errors.ts';
import { askAdmin, GatewayFolder, GatewayProcess, untilHolds } from '../support/run-gateway.ts';
import { inForm } from '../support/test-form.ts';
import { TestGateway, usualWords } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
httpd.register_handler('/hello', function() httpd.header{[':status'] = 200} httpd.write(nil, 'hello') end)
httpd.register_handler('/slow', function()
  httpd.header{[':status'] = 200}
  httpd.write(nil, 'a')
  httpd.sleep(0.05)
  httpd.write(nil, 'b')
end)
httpd.register_handler('/busy', function()
  for i = 1, 5000000 do end
  httpd.header{[':status'] = 200}
end)
httpd.register_handler('/id', function(env) httpd.header{[':status'] = 200} httpd.write(nil, env.REQUEST_ID) end)`;

/** Of fifty requests each. */
const ROUNDS = inForm(24, 40);

const folders: GatewayFolder[] = [];
after(() => {
  for (const folder of folders) folder.remove();
});

function get(session: ClientHttp2Session, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': path, 'user-agent': 'test "x"' });
    let body = '';
    stream.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    stream.on('error', reject).on('close', () => resolve(body));
    stream.end();
  });
}

async function asked<T>(port: number, use: (session: ClientHttp2Session) => Promise<T>): Promise<T> {
  const session = connect(`https://localhost:${port}`, { rejectUnauthorized: false });
  try {
    return await use(session);
  } finally {
    session.destroy();
  }
}

/** A file that is renamed at this moment is read at the next look, by its next name. */
function readUnlessRenamed(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** The lines of all files of the folder whose names begin like this. */
function linesOf(folder: GatewayFolder, name: string): readonly string[] {
  const files = readdirSync(folder.path).filter((file) => file.startsWith(name));
  // behind the last line end is a line that is being written
  return files.flatMap((file) => readUnlessRenamed(folder.file(file)).split('\n').slice(0, -1));
}

test('Files that grow, and files that are renamed before SIGUSR1, lose no line under load', async () => {
  const words = ['--access-log=file:$FOLDER/access', '--log-rotate', '64K,50', '--access-log-format'];
  const gateway = await TestGateway.start({ '/': SCRIPT }, { workers: 2, words: [...words, 'json'] });
  const { folder } = gateway;
  let count = 0;
  await asked(gateway.port, async (session) => {
    for (let round = 0; round < ROUNDS; round++) {
      const paths = Array.from({ length: 50 }, () => `/hello?n=${count++}`);
      await Promise.all(paths.map((path) => get(session, path)));
      if (round % 10 !== 9) continue;
      try {
        renameSync(folder.file('access'), folder.file(`access-moved-${round}`));
      } catch {
        // the gateway has just renamed it
      }
      gateway.running.signal('SIGUSR1');
    }
  });
  await untilHolds(gateway.running, () => linesOf(folder, 'access').length >= count);
  const lines = linesOf(folder, 'access').map((line) => JSON.parse(line));
  assert.equal(lines.length, count);
  assert.equal(new Set(lines.map(({ target }) => target)).size, count);
  assert.equal(new Set(lines.map(({ request_id: id }) => id)).size, count);
  const files = readdirSync(folder.path).filter((file) => file.startsWith('access'));
  assert.ok(files.length >= 6, files.join());
  await gateway.stop();
});

test('A line has the id that the script sees, and its time in parts: Lua, until the head, and the rest', async () => {
  const words = ['--access-log=file:$FOLDER/access', '--access-log-format', 'json'];
  const gateway = await TestGateway.start({ '/': SCRIPT }, { words });
  const lines = () => linesOf(gateway.folder, 'access').map((line) => JSON.parse(line));
  const id = await asked(gateway.port, async (session) => {
    await get(session, '/slow');
    await get(session, '/busy');
    return await get(session, '/id');
  });
  await untilHolds(gateway.running, () => linesOf(gateway.folder, 'access').length === 3);
  const [slow, busy, last] = lines();
  assert.equal(last.request_id, id);
  assert.equal(last.mapping, '/');
  // the wait is 50 ms, of which a loaded machine may take some before the head goes
  assert.ok(slow.duration >= 49 && slow.sending > 0, JSON.stringify(slow));
  assert.ok(Math.abs(slow.first_byte + slow.sending - slow.duration) < 0.01);
  assert.ok(busy.lua_cpu > 0 && busy.lua_cpu <= busy.duration, JSON.stringify(busy));
  await gateway.stop();
});

test('A reload changes target, format and fields, and is refused where the new file cannot be opened', async () => {
  const folder = new GatewayFolder();
  folders.push(folder);
  writeFileSync(folder.file('app.lua'), SCRIPT);
  const write = (more: string): void => writeFileSync(folder.file('g.toml'), `${more}\nscript = "app.lua"\n`);
  write('access-log = true');
  const words = [...usualWords(folder), '--config', folder.file('g.toml')];
  const gateway = new GatewayProcess(folder, words);
  try {
    await gateway.ready();
    await gateway.ask('/hello?first');
    await gateway.until(() => gateway.stderr.includes('access GET /hello?first peer='));
    write(`access-log = "file:${folder.path}/no/access"`);
    gateway.signal('SIGHUP');
    await gateway.until(() => gateway.stderr.includes('stays as it was: Cannot open the log file'));
    await gateway.ask('/hello?second');
    await gateway.until(() => gateway.stderr.includes('access GET /hello?second peer='));
    const settings = [`access-log = "file:${folder.path}/access"`, 'access-log-format = "pino"'];
    write([...settings, 'log-fields = ["target", "request.x"]', 'log-rotate = "64K,3"'].join('\n'));
    gateway.signal('SIGHUP');
    await gateway.until(() => gateway.stderr.includes('Reloaded'));
    await gateway.ask('/hello?third');
    await gateway.until(() => linesOf(folder, 'access').length === 1);
    const [line] = linesOf(folder, 'access').map((text) => JSON.parse(text));
    assert.deepEqual(Object.keys(line), ['level', 'time', 'pid', 'hostname', 'msg', 'target']);
    assert.equal(line.target, '/hello?third');
    assert.ok(!gateway.stderr.includes('third'));
    const text = 'x'.repeat(1500);
    for (let i = 0; i < 50; i++) await gateway.ask(`/hello?${text}`);
    await gateway.until(() => readdirSync(folder.path).includes('access.1'));
    write([...settings, 'access-log-sample = 0'].join('\n'));
    gateway.signal('SIGHUP');
    await gateway.until(() => gateway.stderr.split('Reloaded').length === 3);
    await gateway.ask('/hello?unseen');
    write(settings.join('\n'));
    gateway.signal('SIGHUP');
    await gateway.until(() => gateway.stderr.split('Reloaded').length === 4);
    // messages go to another file, too, from the outcome of the reload on
    const toFile = (name: string): string[] => [...settings, `log-file = "${folder.path}/${name}"`];
    write(toFile('log').join('\n'));
    gateway.signal('SIGHUP');
    await gateway.until(() => linesOf(folder, 'log').some((line) => line.includes(' Reloaded')));
    assert.equal(gateway.stderr.split('Reloaded').length, 4);
    write(toFile('no/log').join('\n'));
    gateway.signal('SIGHUP');
    await gateway.until(() =>
      linesOf(folder, 'log').some((line) => line.includes('Cannot open the log file')),
    );
    write(toFile('log').join('\n'));
    // what is under way is written before the end
    await gateway.ask('/hello?last');
    gateway.signal('SIGTERM');
    assert.deepEqual(await gateway.ended, { code: 0, signal: null });
    const written = linesOf(folder, 'access').join();
    assert.match(written, /hello\?last/);
    assert.doesNotMatch(written, /unseen/);
  } finally {
    await gateway.stop();
  }
});

function readWhatIsThere(descriptor: number, chunk: Buffer): string {
  try {
    return chunk.toString('latin1', 0, readSync(descriptor, chunk));
  } catch (error) {
    if (systemCodeOf(error) === 'EAGAIN') return '';
    throw error;
  }
}

test('A pipe that nobody reads holds up no request, and what it loses is counted', async () => {
  const folder = new GatewayFolder();
  folders.push(folder);
  writeFileSync(folder.file('app.lua'), SCRIPT);
  const pipe = folder.file('pipe');
  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  const reader = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  const template = `{target} ${'x'.repeat(2000)}`;
  const words = [`--access-log=file:${pipe}`, '--access-log-format', template, ...folder.adminWords()];
  const gateway = new GatewayProcess(folder, [...usualWords(folder), ...words, folder.file('app.lua')]);
  try {
    await gateway.ready();
    await asked(gateway.port, async (session) => {
      // 13 MB of lines, where 8 MiB wait
      for (let round = 0; round < 130; round++)
        await Promise.all(Array.from({ length: 50 }, () => get(session, '/hello')));
    });
    const chunk = Buffer.alloc(1 << 16);
    let [rest, dropped] = ['', 0];
    await gateway.until(() => {
      const text = rest + readWhatIsThere(reader, chunk);
      rest = text.slice(text.lastIndexOf('\n') + 1);
      dropped += Number(/ (\d+) log lines were dropped/.exec(text)?.[1] ?? 0);
      return dropped > 1000;
    });
    const { body } = await askAdmin(folder.file('admin.sock'), '/metrics');
    const lost = /^lgateway_lost_log_lines_total\{log="access"\} (\d+)$/m.exec(body)?.[1];
    assert.ok(Number(lost) >= dropped, `${lost} of ${dropped}`);
  } finally {
    closeSync(reader);
    await gateway.stop();
  }
});
