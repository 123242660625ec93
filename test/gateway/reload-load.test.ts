/** Fifty reloads under load, with streams open: mappings come and go, bad reloads are refused, and no client loses anything. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { askAdmin, GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { STREAM_SCRIPT, StreamLoad } from '../support/stream-load.ts';
import { waitFor } from '../support/test-front-end.ts';
import { SteadyLoad } from '../support/upgrade-load.ts';

const RELOADS = 50;
/** Each of these is refused: its script fails. */
const BAD_EVERY = 5;
const WORKERS = 2;
/** What is there after so many reloads is compared with what is there at the end. */
const WARM_RELOADS = 15;
/** A state takes two MiB and more, and each of the later reloads makes four or six: a fourth of these would be more than this. */
const GROWTH_MAX_MIB = 64;
/** Clients and reloads share two processors with other tests. */
const LONG_MS = 60_000;

const folder = new GatewayFolder();
const FILE = folder.file('lgateway.toml');
const SOCKET = folder.file('admin.sock');

writeFileSync(folder.file('app.lua'), STREAM_SCRIPT);
writeFileSync(folder.file('more.lua'), "require('httpd').register_handler('/', function() end)");
writeFileSync(folder.file('bad.lua'), 'error "not this one"');

const lua = (prefix: string, script: string): string =>
  `[[lua]]\nprefix = "${prefix}"\nscript = "${script}"\n`;

function write(more: string): void {
  writeFileSync(
    FILE,
    `address = "127.0.0.1"\nport = 0\nworkers = ${WORKERS}\nadmin = "unix:${SOCKET}"
[[certificate]]\ncert = "cert.pem"\nkey = "key.pem"\n${lua('/', 'app.lua')}${more}`,
  );
}

write('');
const gateway = new GatewayProcess(folder, ['--config', FILE, ...folder.adminWords()]);
after(async () => {
  await gateway.stop();
  folder.remove();
});

async function reload(more: string): Promise<string> {
  write(more);
  const { status, body } = await askAdmin(SOCKET, '/reload', { method: 'POST' });
  return `${status} ${body}`;
}

/** Of metrics without labels. */
async function metric(name: string): Promise<number> {
  const { body } = await askAdmin(SOCKET, '/metrics');
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(body)?.[1] ?? Number.NaN);
}

async function memoryMiB(): Promise<number> {
  return (await metric('process_resident_memory_bytes')) / 1024 ** 2;
}

async function until(name: string, value: number): Promise<void> {
  const end = performance.now() + LONG_MS;
  while ((await metric(name)) !== value) {
    ok(performance.now() < end, `${name} is ${await metric(name)} and not ${value}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('Fifty reloads under load lose nothing, and nothing is left of what they have replaced', async (t) => {
  await gateway.ready();
  const steady = new SteadyLoad(gateway.port, 10);
  const streams = new StreamLoad(gateway.port);
  const has = (kinds: readonly number[]): boolean => kinds.every((count) => count > 0);
  await waitFor(() => has(Object.values(streams.done).slice(0, 4)), 'the first streams', LONG_MS);
  let warm = 0;
  for (let i = 1; i <= RELOADS; i++) {
    if (i % BAD_EVERY === 0) match(await reload(lua('/bad', 'bad.lua')), /^409 .*not this one/s);
    else match(await reload(i % 2 === 0 ? '' : lua(`/more-${i}`, 'more.lua')), /^200 /);
    if (i === WARM_RELOADS) warm = await memoryMiB();
  }
  await Promise.all([streams.stop(), steady.stop()]);
  deepEqual([...steady.failures, ...streams.failures], []);
  ok(has([...Object.values(streams.done), ...Object.values(steady.answers)]), JSON.stringify(streams.done));
  ok(streams.reopened > 0);
  await until('lgateway_generations', 1);
  await reload('');
  await until('lgateway_generations', 1);
  await until('lgateway_lua_states', WORKERS);
  const grown = (await memoryMiB()) - warm;
  t.diagnostic(
    `${JSON.stringify({ ...streams.done, ...steady.answers })}; memory ${Math.round(grown)} MiB more`,
  );
  ok(grown < GROWTH_MAX_MIB, `${Math.round(grown)} MiB more`);
  const { body } = await askAdmin(SOCKET, '/metrics');
  equal([...body.matchAll(/mapping="\/more-/g)].length, 0);
});
