/** Mappings of the configuration file are added, changed and removed by reloads, in all workers together or not at all. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { mkdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { ask, askAdmin, GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';

const WORKERS = 2;
/** Connections of their own, so that both workers answer some. */
const ASKS = 8;
/** Looks at the metrics until they say what they have to: a minute at most. */
const TRIES_MAX = 3000;

const folder = new GatewayFolder();
const FILE = folder.file('lgateway.toml');
const HEAD = `address = "127.0.0.1"
port = 0
workers = ${WORKERS}
admin = "unix:${folder.file('admin.sock')}"
handshake-timeout = 60
`;
const CERTIFICATE = '[[certificate]]\ncert = "cert.pem"\nkey = "key.pem"\n';
const FIRST = '[[lua]]\nprefix = "/first"\nscript = "first.lua"\n';

function write(tables: string, head = ''): void {
  writeFileSync(FILE, HEAD + head + CERTIFICATE + FIRST + tables);
}

/** A script that answers every path below its prefix with what this expression says. */
function script(name: string, expression: string): void {
  writeFileSync(
    folder.file(name),
    `local httpd = require 'httpd'
httpd.register_handler('/', function()
    httpd.header { [':status'] = 200 }
    httpd.write(nil, tostring(${expression}))
end)`,
  );
}

mkdirSync(folder.file('public'));
writeFileSync(folder.file('public/page.txt'), 'page');
for (const name of ['one', 'two']) {
  mkdirSync(folder.file(name));
  writeFileSync(folder.file(`${name}/data`), name);
  script(`${name}/app.lua`, "io.open('/data'):read('a')");
}
script('first.lua', "'first'");
script('second.lua', "'second'");
script('third.lua', "'third'");
script('grow.lua', "(pcall(string.rep, 'x', 12 * 1024 * 1024))");
writeFileSync(folder.file('broken.lua'), 'error "no such luck"');
const upstream = createServer((_request, response) => response.end('behind')).listen(0, '127.0.0.1');
write('');
const gateway = new GatewayProcess(folder, ['--config', FILE, ...folder.adminWords()]);
after(async () => {
  await gateway.stop();
  upstream.close();
  folder.remove();
});

async function reload(tables: string, head = ''): Promise<string> {
  write(tables, head);
  const { status, body } = await askAdmin(folder.file('admin.sock'), '/reload', { method: 'POST' });
  return `${status} ${body.trimEnd().replaceAll(`${folder.path}/`, '')}`;
}

async function reloaded(tables: string, head = ''): Promise<void> {
  match(await reload(tables, head), /^200 /);
}

/** What all workers say, as one text where they agree. */
async function said(path: string): Promise<string> {
  const answers = await Promise.all(Array.from({ length: ASKS }, () => ask(folder, gateway.port, path)));
  return [...new Set(answers.map(({ status, body }) => (status === 200 ? body : String(status))))].join();
}

/** The samples of the metrics that name this mapping. */
async function samplesOf(mapping: string): Promise<ReadonlyMap<string, number>> {
  const { body } = await askAdmin(folder.file('admin.sock'), '/metrics');
  const lines = body.split('\n').filter((line) => line.includes(`mapping="${mapping}"`));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

async function requestsOf(mapping: string): Promise<number | undefined> {
  const samples = await samplesOf(mapping);
  return samples.get(`lgateway_requests_total{mapping="${mapping}",code="2xx",protocol="HTTP/1.1"}`);
}

/** A request is counted a moment after its client has the answer. */
async function untilCounted(mapping: string, count: number): Promise<void> {
  for (let tries = 0; (await requestsOf(mapping)) !== count && tries < TRIES_MAX; tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  equal(await requestsOf(mapping), count);
}

const lua = (prefix: string, name: string, more = ''): string =>
  `[[lua]]\nprefix = "${prefix}"\nscript = "${name}"\n${more}\n`;

test('A reload adds, changes and removes mappings of all kinds in every worker', async () => {
  await gateway.ready();
  equal(await said('/second/'), '404');
  const { port } = upstream.address() as AddressInfo;
  const others = `[[static]]\nprefix = "/files"\nfolder = "public"\n[[proxy]]\nprefix = "/behind"\ntargets = ["http://127.0.0.1:${port}"]\n`;
  await reloaded(lua('/second', 'second.lua') + others);
  deepEqual(
    [await said('/first/'), await said('/second/'), await said('/files/page.txt'), await said('/behind/')],
    ['first', 'second', 'page', 'behind'],
  );
  // another script behind the prefix, a folder in the place of a script, another prefix
  await reloaded(lua('/files', 'third.lua') + lua('/moved', 'second.lua'));
  deepEqual(
    [await said('/files/'), await said('/moved/'), await said('/second/'), await said('/behind/')],
    ['third', 'second', '404', '404'],
  );
  await reloaded(lua('/files', 'second.lua', 'host = "localhost"') + lua('/files', 'third.lua'));
  equal(await said('/files/'), 'second', 'the mapping of the host goes before the one without');
});

test('A reload changes roots and sizes of memory, of all and of one mapping', async () => {
  await reloaded(lua('/app', 'app.lua', 'root = "one"') + lua('/grow', 'grow.lua'));
  deepEqual([await said('/app/'), await said('/grow/')], ['one', 'true']);
  await reloaded(lua('/app', 'app.lua', 'root = "two"') + lua('/grow', 'grow.lua', 'memory = "16M"'));
  deepEqual([await said('/app/'), await said('/grow/')], ['two', 'false']);
  await reloaded(lua('/app', 'app.lua', 'root = "two"') + lua('/grow', 'grow.lua'), 'memory = "17M"\n');
  equal(await said('/grow/'), 'false');
  await reloaded(lua('/grow', 'grow.lua'));
  equal(await said('/grow/'), 'true');
});

test('A link that is a root leads elsewhere after a reload', async () => {
  symlinkSync('one', folder.file('current'));
  await reloaded(lua('/app', 'app.lua', 'root = "current"'));
  equal(await said('/app/'), 'one');
  unlinkSync(folder.file('current'));
  symlinkSync('two', folder.file('current'));
  equal(await said('/app/'), 'one');
  await reloaded(lua('/app', 'app.lua', 'root = "current"'));
  equal(await said('/app/'), 'two');
});

test('One mapping that cannot be loaded changes nothing, and the answer names its place in the file', async () => {
  await reloaded(lua('/second', 'second.lua'));
  const other = lua('/second', 'third.lua');
  const line = (HEAD + CERTIFICATE + FIRST + other).split('\n').length;
  match(
    await reload(other + lua('/broken', 'broken.lua')),
    new RegExp(`^409 lgateway.toml:${line}:3: Cannot load "broken.lua": .*no such luck`, 's'),
  );
  match(
    await reload(other + lua('/lost', 'app.lua', 'root = "nowhere"')),
    new RegExp(`^409 lgateway.toml:${line}:3: Cannot use "nowhere" as a virtual root: ENOENT`),
  );
  match(
    await reload(`${other}[[static]]\nprefix = "/lost"\nfolder = "lost/"\n`),
    new RegExp(`^409 lgateway.toml:${line}:3: Cannot serve the folder "lost/": `),
  );
  deepEqual([await said('/second/'), await said('/broken/'), await said('/lost/')], ['second', '404', '404']);
});

test('Counters go with their mapping: they are there while it is, and go on when it comes again', async () => {
  await reloaded(lua('/counted', 'second.lua') + lua('/second', 'second.lua'));
  await said('/counted/');
  await untilCounted('/counted', ASKS);
  const first = await requestsOf('/first');
  // it stands before the other now, and its row is still its own
  await reloaded(lua('/later', 'third.lua') + lua('/counted', 'third.lua'));
  await said('/counted/');
  await untilCounted('/counted', 2 * ASKS);
  equal(await requestsOf('/later'), 0);
  await reloaded(lua('/later', 'third.lua'));
  // until the workers have told that nothing of the generation before is left
  for (let left = 1; left > 0; left = (await samplesOf('/counted')).size)
    await new Promise((resolve) => setTimeout(resolve, 20));
  await reloaded(lua('/counted', 'second.lua'));
  await said('/counted/');
  await untilCounted('/counted', 3 * ASKS);
  equal(await requestsOf('/first'), first);
  const { mappings } = await gateway.counters();
  deepEqual(
    mappings.map(({ worker, mapping }) => `${worker} ${mapping}`),
    ['1 /first', '1 /counted', '2 /first', '2 /counted'],
  );
  ok(mappings.every(({ luaMemoryBytes }) => luaMemoryBytes > 0));
});
