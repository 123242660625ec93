/** With `--watch` a gateway answers as its files are now, and keeps its answer while they are wrong. */
import { equal } from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { TestGateway } from '../support/test-gateway.ts';

const answering = (text: string): string =>
  `require('httpd').register_handler('/', function()
    local httpd = require 'httpd'
    httpd.header{[':status'] = '200'}
    httpd.write(nil, '${text}')
end)`;

let gateway: TestGateway;

before(async () => {
  gateway = await TestGateway.start(
    { '/': answering('first') },
    {
      // the command line alone joins watching and reloads
      apart: true,
      words: ['--config', '$FOLDER/lgateway.toml'],
      prepare: (folder) => writeFileSync(folder.file('lgateway.toml'), 'watch = true\n'),
    },
  );
});
after(() => gateway.stop());

const ask = async (): Promise<string> => (await gateway.ask('h2', '/')).text;
/** At once, as nobody is to see an empty file. Resolves when the log says this of it. */
async function change(name: string, text: string, pattern: RegExp): Promise<void> {
  const { length } = gateway.log;
  const fresh = `${gateway.folder.path}-fresh`;
  writeFileSync(fresh, text);
  renameSync(fresh, gateway.folder.file(name));
  await gateway.running.until(() => pattern.test(gateway.log.slice(length)));
}

test('A changed script answers, a broken one changes nothing, and a mended one answers again', async () => {
  equal(await ask(), 'first');
  await gateway.untilLog(/Watching 4 files in 1 folder: a change reloads/);
  await change('script-0.lua', answering('second'), /Reloaded: /);
  await gateway.untilLog(/Changed: ".*script-0\.lua": reloading/);
  equal(await ask(), 'second');
  await change(
    'script-0.lua',
    'this is no Lua',
    /Reload refused, everything stays as it was: .*syntax error/,
  );
  equal(await ask(), 'second');
  await change('script-0.lua', answering('third'), /Reloaded: /);
  equal(await ask(), 'third');
});

test('A configuration file that changes is read again, and every fault is told', async () => {
  await change(
    'lgateway.toml',
    'watch = true\nprot = 1\nworkers = "none"\n',
    /Reload refused.*lgateway\.toml:2:1: Unknown key "prot"/,
  );
  await gateway.untilLog(/Reload refused.*lgateway\.toml:3:1: /);
  await change('lgateway.toml', 'watch = false\n', /lgateway\.toml:1:1: A restart is needed to change watch/);
  await change('lgateway.toml', 'watch = true\naccess-log = true\n', /Reloaded: /);
  equal(await ask(), 'third');
});
