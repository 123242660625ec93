/** The program with a configuration file: it serves by it, reads it again on SIGHUP, and says all that is wrong. */
import { deepEqual, doesNotMatch, equal, match } from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { ask, askAdmin, GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { eventually } from '../support/script-harness.ts';

const folder = new GatewayFolder();
const FILE = folder.file('lgateway.toml');

const write = (head: string, tables = ''): void =>
  writeFileSync(
    FILE,
    `${head}
workers = 1
[[certificate]]
cert = "cert.pem"
key = "key.pem"
[[lua]]
prefix = "/app"
script = "app.lua"
[[listen]]
address = "127.0.0.1"
port = 0
[[listen]]
address = "127.0.0.1"
port = 0
scheme = "http"
[[listen]]
address = "127.0.0.1"
port = 0
scheme = "http"
[[shared]]
name = "single"
store = "redis://user:hidden@127.0.0.1:1"
${tables}`,
  );

writeFileSync(
  folder.file('app.lua'),
  'local httpd = require("httpd") httpd.register_handler("/", function() httpd.header { [":status"] = 200 } httpd.write(nil, os.getenv("SHOWN") or "nothing") end)',
);
write('');
const gateway = new GatewayProcess(folder, ['--config', FILE, ...folder.adminWords()], {
  environment: { SHOWN: 'shown', LGATEWAY_ACCESS_LOG: 'yes' },
});
after(async () => {
  await gateway.stop();
  folder.remove();
});

const refusals = (): string[] =>
  gateway.stderr
    .split('\n')
    .flatMap((line) => /Reload refused, everything stays as it was: (.*)$/.exec(line)?.[1] ?? [])
    .map((line) => line.replaceAll(`${folder.path}/`, ''));

test('A gateway serves what its file says on every listener of the file', async () => {
  await gateway.ready();
  match((await ask(folder, gateway.port, '/app/')).body, /^nothing/);
  const ports = [...gateway.stdout.matchAll(/http:\/\/[^\s:]+:(\d+)/g)].map(([, port]) => port);
  equal(new Set(ports).size, 2, gateway.stdout);
  for (const port of ports) equal(await (await fetch(`http://127.0.0.1:${port}/app/`)).text(), 'nothing');
});

test('Readiness and metrics tell of the store of a single dictionary that is away, without its password', async () => {
  const { admin } = gateway;
  await eventually(async () =>
    match(
      (await askAdmin(admin, '/readyz')).body,
      /^ready, but store redis:\/\/[^ ]*127\.0\.0\.1:1 is away for 1 worker\n?$/,
    ),
  );
  const { body } = await askAdmin(admin, '/metrics');
  match(body, /^lgateway_store_up\{store="redis:[^"]*127\.0\.0\.1:1"\} 0$/m);
  doesNotMatch(body, /hidden/);
});

test('SIGHUP reads the file again and applies what it may', async () => {
  write('allow-env = ["SHOWN"]');
  gateway.signal('SIGHUP');
  await gateway.until(() => /Reloaded: new requests go to the configuration/.test(gateway.stderr));
  match((await ask(folder, gateway.port, '/app/')).body, /^shown/);
});

test('SIGHUP changes nothing when the file is wrong, and the log has all of it', async () => {
  write('allow-env = []\nprot = 1\nidle-timeout = "x"');
  gateway.signal('SIGHUP');
  await gateway.until(() => refusals().length === 3);
  deepEqual(
    refusals().map((line) => line.slice(0, 24)),
    ['lgateway.toml:1:1: Key "', 'lgateway.toml:2:1: Unkno', 'lgateway.toml:3:1: Key "'],
  );
  match((await ask(folder, gateway.port, '/app/')).body, /^shown/);
});

test('SIGHUP refuses by name and place what needs a restart', async () => {
  write('user = "nobody"', '[[static]]\nprefix = "/s"\nfolder = "."');
  gateway.signal('SIGHUP');
  await gateway.until(() => refusals().length === 4);
  equal(refusals()[3], 'lgateway.toml:1:1: A restart is needed to change user (--user) from none to nobody');
  match((await ask(folder, gateway.port, '/app/')).body, /^shown/);
});

test('A start with a wrong file ends with code 2 and a line for each fault', async () => {
  const wrong = folder.file('wrong.toml');
  writeFileSync(wrong, 'adress = "::1"\nport = -1\n');
  const failed = new GatewayProcess(folder, ['--config', wrong]);
  equal((await failed.ended).code, 2);
  deepEqual(failed.stderr.replaceAll(`${folder.path}/`, '').split('\n'), [
    'wrong.toml:1:1: Unknown key "adress"; did you mean "address"?',
    'wrong.toml:2:1: Key "port" wants a port from 0 to 65535, not -1',
    '',
  ]);
});
