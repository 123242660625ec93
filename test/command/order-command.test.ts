/** `lgateway reload`, `upgrade` and `drain`: how they find the running gateway, and what they tell of it. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { runSubcommand } from '../../src/command/subcommands.ts';
import { MAIN } from '../support/run-gateway.ts';
import { runProgram } from '../support/run-program.ts';
import { TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `require 'httpd'.register_handler('/', function() end)`;

let gateway: TestGateway;
let port: string;
let socket: readonly string[];
let config: string;

before(async () => {
  gateway = await TestGateway.start(
    { '/': SCRIPT },
    { words: ['--admin', '127.0.0.1:0', '--pid-file', '$FOLDER/pid'] },
  );
  port = /Admin listener on http:\/\/127\.0\.0\.1:(\d+)/.exec(gateway.log)?.[1] ?? '';
  socket = ['--admin', `127.0.0.1:${port}`, '--pid-file', gateway.folder.file('pid')];
  config = gateway.folder.file('lgateway.toml');
});
after(() => gateway.stop());

describe('lgateway reload', () => {
  test('asks over the admin listener with the token beside the pid file, and prints what has changed', async () => {
    const { output, faults } = await runSubcommand('reload', socket);
    deepEqual(faults, []);
    match(output, /^Reloaded: new requests go to the scripts and the certificate as they are now\n$/);
  });

  test('finds the gateway by a configuration file', async () => {
    writeFileSync(config, `admin = "127.0.0.1:${port}"\npid-file = "${gateway.folder.file('pid')}"\n`);
    const { faults } = await runSubcommand('reload', ['--config', config]);
    deepEqual(faults, []);
  });

  test('prints all that was wrong, and is refused', async () => {
    writeFileSync(gateway.folder.file('script-0.lua'), 'local x = = 1');
    const { output, faults, refused } = await runSubcommand('reload', socket);
    equal(output, '');
    match(faults.join('\n'), /^lgateway: Cannot load ".*script-0\.lua": /);
    equal(refused, true);
    const { code } = await runProgram(process.execPath, [MAIN, 'reload', ...socket]);
    equal(code, 1);
    writeFileSync(gateway.folder.file('script-0.lua'), SCRIPT);
  });

  test('tells all faults of a configuration file and asks nobody', async () => {
    writeFileSync(config, 'admin = "127.0.0.1:1"\nport = "x"\nprot = 1\n');
    const { faults, refused } = await runSubcommand('reload', ['--config', config]);
    equal(faults.length, 2);
    equal(refused, undefined);
  });

  test('says where no gateway answers, and wants to know which one is meant', async () => {
    const gone = await runSubcommand('reload', ['--admin', `unix:${gateway.folder.file('no.sock')}`]);
    match(gone.faults.join('\n'), /^lgateway: No gateway answers at unix:.*no\.sock: connect ENOENT/);
    equal(gone.refused, true);
    const unnamed = await runSubcommand('reload', []);
    match(unnamed.faults.join('\n'), /lgateway reload wants --admin or --pid-file of the gateway that runs/);
    equal(unnamed.refused, undefined);
    const chosen = await runSubcommand('reload', ['--admin', '0']);
    match(chosen.faults.join('\n'), /wants the port of --admin that the gateway has chosen, not 0/);
  });

  test('signals the process of a pid file, but no other program', async () => {
    const signals: string[] = [];
    const heard = (): void => void signals.push('SIGHUP');
    const own = gateway.folder.file('own-pid');
    writeFileSync(own, `${process.pid}\n`);
    const arrived = new Promise((resolve) => process.once('SIGHUP', resolve));
    process.on('SIGHUP', heard);
    const { output } = await runSubcommand('reload', ['--pid-file', own]);
    equal(output.split(';')[0], `SIGHUP was sent to process ${process.pid}`);
    await arrived;
    process.off('SIGHUP', heard);
    deepEqual(signals, ['SIGHUP']);
    writeFileSync(own, '1\n');
    const other = await runSubcommand('reload', ['--pid-file', own]);
    match(other.faults.join('\n'), /Process 1 of the pid file ".*own-pid" is no gateway but "/);
    writeFileSync(own, 'nothing\n');
    const none = await runSubcommand('drain', ['--pid-file', own]);
    match(none.faults.join('\n'), /^lgateway: The pid file ".*own-pid" names no running process$/);
  });
});

test('lgateway upgrade tells why it was refused', async () => {
  const { faults, refused } = await runSubcommand('upgrade', socket);
  deepEqual(faults, ['lgateway: This gateway is part of another program']);
  equal(refused, true);
});

test('lgateway drain ends the gateway', async () => {
  const { output, faults } = await runSubcommand('drain', socket);
  deepEqual(faults, []);
  equal(output, 'draining\n');
  await gateway.untilLog(/POST \/drain: draining/);
});
