/** With `--watch` a gateway answers as its files are now, and keeps its answer while they are wrong. */
import { equal } from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
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
const write = (name: string, text: string): void => writeFileSync(gateway.folder.file(name), text);
const untilLogHas = (pattern: RegExp, times: number): Promise<void> =>
  gateway.running.until(() => gateway.log.match(new RegExp(pattern, 'g'))?.length === times);

test('A changed script answers, a broken one changes nothing, and a mended one answers again', async () => {
  equal(await ask(), 'first');
  await gateway.untilLog(/Watching 4 files in 1 folder: a change reloads/);
  write('script-0.lua', answering('second'));
  await untilLogHas(/Reloaded: /, 1);
  await gateway.untilLog(/Changed: ".*script-0\.lua": reloading/);
  equal(await ask(), 'second');
  write('script-0.lua', 'this is no Lua');
  await untilLogHas(/Reload refused, everything stays as it was: .*syntax error/, 1);
  equal(await ask(), 'second');
  write('script-0.lua', answering('third'));
  await untilLogHas(/Reloaded: /, 2);
  equal(await ask(), 'third');
});

test('A configuration file that changes is read again, and every fault is told', async () => {
  write('lgateway.toml', 'watch = true\nprot = 1\nworkers = "none"\n');
  await gateway.untilLog(/Reload refused.*lgateway\.toml:2:1: Unknown key "prot"/);
  await gateway.untilLog(/Reload refused.*lgateway\.toml:3:1: /);
  write('lgateway.toml', 'watch = false\n');
  await gateway.untilLog(/lgateway\.toml:1:1: A restart is needed to change watch/);
  write('lgateway.toml', 'watch = true\naccess-log = true\n');
  await untilLogHas(/Reloaded: /, 3);
  equal(await ask(), 'third');
});
