/** Scripts that run programs while they are loaded, in the real program: its start, its reload, their failures. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { LocalGateway } from '../support/local-gateway.ts';
import { GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';
import { TestGateway, usualWords } from '../support/test-gateway.ts';

/** Says which load this was, and waits until the test lets it go on. */
const WAITING = `local httpd = require 'httpd'
local text = io.popen('cat $FOLDER/version'):read('l')
os.execute('while [ ! -e $FOLDER/go-' .. text .. ' ]; do sleep 0.02; done')
httpd.register_handler('/', function() httpd.write(nil, text) end)`;

test('A reload waits for programs while the old script goes on answering, and every worker loads alike', async () => {
  const gateway = await TestGateway.start(
    { '/': WAITING },
    {
      workers: 2,
      prepare: (folder) => {
        writeFileSync(folder.file('version'), 'one\n');
        writeFileSync(folder.file('go-one'), '');
      },
    },
  );
  const { folder } = gateway;
  writeFileSync(folder.file('version'), 'two\n');
  gateway.running.signal('SIGHUP');
  await gateway.untilCounters(({ states }) => states === 4, 'both workers load');
  for (let i = 0; i < 10; i++) assert.equal((await gateway.ask('h2', '/')).text, 'one');
  assert.doesNotMatch(gateway.log, /Reloaded/);
  writeFileSync(folder.file('go-two'), '');
  await gateway.untilLog(/Reloaded/);
  for (let i = 0; i < 10; i++) assert.equal((await gateway.ask('h1', '/')).text, 'two');
  await gateway.untilIdle();
  await gateway.stop();
});

test('A script that fails after it has run a program is one block at the start, and leaves the old one at a reload', async () => {
  const folder = new GatewayFolder();
  const script = folder.file('fails.lua');
  const broken = `local httpd = require 'httpd'\nos.execute('true')\nerror('after the program')\n`;
  writeFileSync(script, broken);
  const failed = new GatewayProcess(folder, [...usualWords(folder, 2), '-l', '/', script]);
  assert.equal((await failed.ended).code, 1);
  assert.match(
    failed.stderr,
    /Cannot load "[^"]*fails\.lua": .*fails\.lua:3: after the program\nstack traceback:/,
  );
  assert.equal(failed.stderr.match(/after the program/g)?.length, 1);
  folder.remove();

  const gateway = await TestGateway.start({
    '/': `require 'httpd'.register_handler('/', function() require 'httpd'.write(nil, 'old') end)`,
  });
  writeFileSync(gateway.folder.file('script-0.lua'), broken);
  gateway.running.signal('SIGHUP');
  await gateway.untilLog(/script-0\.lua:3: after the program/);
  assert.equal((await gateway.ask('h2', '/')).text, 'old');
  await gateway.untilIdle();
  await gateway.stop();
});

test('The first script that fails ends the loads of the others, and what those have started', async () => {
  const folder = new GatewayFolder();
  const waits = folder.file('waits.lua');
  const fails = folder.file('fails.lua');
  writeFileSync(waits, `os.execute('sleep 300')`);
  writeFileSync(fails, `os.execute('sleep 0.1') error('at once')`);
  const failed = new LocalGateway([...usualWords(folder), '-l', '/a', waits, '-l', '/b', fails]);
  const began = performance.now();
  await assert.rejects(failed.ready(), /fails\.lua:1: at once/);
  assert.ok(performance.now() - began < 60_000);
  assert.doesNotMatch(failed.stderr, /given up/);
  await failed.stop();
  folder.remove();
});

test('A gateway that is told to end while a script waits at its start ends', async () => {
  const gateway = new GatewayFolder();
  const script = gateway.file('waits.lua');
  writeFileSync(script, `io.open('${gateway.file('begun')}', 'w'):close() os.execute('sleep 300')`);
  const starting = new GatewayProcess(gateway, [...usualWords(gateway), '-l', '/', script]);
  await starting.until(() => existsSync(gateway.file('begun')));
  starting.child.kill('SIGTERM');
  const { signal } = await starting.ended;
  assert.equal(signal, null);
  assert.match(starting.stderr, /SIGTERM: stopping now/);
  gateway.remove();
});
