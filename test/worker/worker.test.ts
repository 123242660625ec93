/** The real worker with a supervisor: both listeners, both ways to listen, and the state after a reload. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import type { Config } from '../../src/config/config.ts';
import type { Supervisor } from '../../src/supervisor/supervisor.ts';
import type { SupervisorOptions } from '../../src/supervisor/supervisor-options.ts';
import { realSupervisor } from '../support/real-supervisor.ts';
import { ask, GatewayFolder } from '../support/run-gateway.ts';

const script = (version: string): string => `local httpd = require 'httpd'
httpd.register_handler('/', function(env)
    httpd.header{[':status'] = '200'}
    httpd.write(nil, '${version}')
end)
httpd.register_handler('/slow', function(env)
    local pipe = assert(io.popen('sleep 0.3; echo slow'))
    local text = httpd.read(pipe, 100)
    pipe:close()
    httpd.header{[':status'] = '200'}
    httpd.write(nil, '${version} ' .. text)
end)`;

let folder: GatewayFolder;
let supervisor: Supervisor | undefined;
const lines: string[] = [];

before(() => {
  folder = new GatewayFolder();
});
beforeEach(() => writeFileSync(folder.file('app.lua'), script('one')));
afterEach(async () => {
  await supervisor?.stop();
  supervisor = undefined;
});
after(() => folder.remove());

async function start(
  config: Partial<Config> = {},
  options: Partial<SupervisorOptions> = {},
): Promise<{ running: Supervisor; port: number }> {
  const running = realSupervisor(folder, lines, config, options);
  supervisor = running;
  await running.start();
  return { running, port: running.addresses[0]?.port ?? 0 };
}

function total(running: Supervisor, name: 'exchanges' | 'coroutines' | 'states' | 'pipes'): number {
  return running.counters().reduce((sum, counters) => sum + counters[name], 0);
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('GatewayWorker binds by itself where descriptors cannot be handed over', async () => {
  const { port } = await start({ workers: 1 }, { listener: { duplicate: undefined, reusePort: false } });
  assert.deepEqual(await ask(folder, port, '/'), { status: 200, body: 'one' });
});

test('GatewayWorker serves the cleartext listener too', async () => {
  const { running } = await start({ cleartext: { address: '127.0.0.1', port: 0 } });
  const port = running.addresses[1]?.port ?? 0;
  const body = await new Promise<string>((resolve, reject) => {
    get({ host: '127.0.0.1', port, agent: false }, (response) => {
      response.setEncoding('latin1').once('data', resolve);
    }).on('error', reject);
  });
  assert.equal(body, 'one');
});

test('GatewayWorker finishes an exchange in the old state while new ones go to the new', async () => {
  const { running, port } = await start({ workers: 1 });
  const slow = ask(folder, port, '/slow');
  await until(() => total(running, 'pipes') === 1);
  writeFileSync(folder.file('app.lua'), script('two'));
  await running.reload();
  while ((await ask(folder, port, '/')).body !== 'two');
  assert.deepEqual(await slow, { status: 200, body: 'one slow\n' });
  await until(() => total(running, 'exchanges') === 0);
  for (const name of ['coroutines', 'pipes'] as const) await until(() => total(running, name) === 0);
  await until(() => total(running, 'states') === 1);
});

test('GatewayWorker drops what it prepared when another worker refuses', async () => {
  const { running, port } = await start();
  const before = total(running, 'states');
  assert.equal(before, 2);
  // rename is atomic: one of the two states gets the token, and the other one fails
  const token = folder.file('token');
  writeFileSync(token, '');
  const failsOnce = `assert(os.rename('${token}', '${token}.taken'), 'second')\n${script('two')}`;
  writeFileSync(folder.file('app.lua'), failsOnce);
  await assert.rejects(running.reload(), /second/);
  assert.equal((await ask(folder, port, '/')).body, 'one');
  await until(() => total(running, 'states') === before);
});
