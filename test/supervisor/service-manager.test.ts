/** What systemd is told: the real program with a socket of ours, with a file and without one. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { after, before, mock, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { ServiceManager } from '../../src/supervisor/service-manager.ts';
import { GatewayFolder, GatewayProcess } from '../support/run-gateway.ts';

/** Writes each datagram as a line of JSON. */
const RECEIVER = `import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(('\\0' + sys.argv[1][1:]) if sys.argv[1][0] == '@' else sys.argv[1])
print('"bound"', flush=True)
while True: print(json.dumps(s.recv(4096).decode()), flush=True)`;
const WAIT_MAX_MS = 120_000;

let folder: GatewayFolder;
before(() => {
  folder = new GatewayFolder();
  writeFileSync(folder.file('app.lua'), "require 'httpd'.register_handler('/', function() end)");
});
after(() => folder.remove());

class Receiver {
  readonly child: ChildProcess;
  #text = '';

  constructor(path: string) {
    this.child = spawn('python3', ['-c', RECEIVER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
    });
  }

  get datagrams(): string[] {
    return this.#text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }

  /** Waits for one like this; resolves with its place. */
  async until(pattern: RegExp, from = 0): Promise<number> {
    const limit = performance.now() + WAIT_MAX_MS;
    for (;;) {
      const at = this.datagrams.findIndex((text, i) => i >= from && pattern.test(text));
      if (at >= 0) return at;
      assert.ok(performance.now() < limit, `${pattern} comes in time: ${JSON.stringify(this.datagrams)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async stop(): Promise<void> {
    const closed = once(this.child, 'close');
    this.child.kill('SIGKILL');
    await closed;
  }
}

for (const kind of ['with a file', 'without a file'])
  test(`systemd hears of start, reload, life and end over a socket ${kind}`, async () => {
    const path = kind === 'with a file' ? folder.file('notify') : `@${folder.path}`;
    const receiver = new Receiver(path);
    await receiver.until(/^bound$/);
    const words = ['-w', '1', '-p', '0', '-c', folder.certificate, '-k', folder.key];
    const gateway = new GatewayProcess(folder, [...words, folder.file('app.lua')], {
      environment: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '2000000' },
    });
    try {
      const ready = await receiver.until(/^READY=1\nSTATUS=Serving with 1 workers$/);
      const alive = await receiver.until(/^WATCHDOG=1$/, ready);
      await receiver.until(/^WATCHDOG=1$/, alive + 1);
      gateway.signal('SIGHUP');
      const reloading = await receiver.until(/^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=Reloading$/, ready);
      await receiver.until(/^READY=1\nSTATUS=Reloaded$/, reloading);
      writeFileSync(folder.file('app.lua'), 'broken(');
      gateway.signal('SIGHUP');
      await receiver.until(/^READY=1\nSTATUS=Serving as before: a reload was refused$/, reloading);
      gateway.signal('SIGTERM');
      await receiver.until(/^STOPPING=1\n/, reloading);
      assert.deepEqual(await gateway.ended, { code: 0, signal: null });
    } finally {
      await gateway.stop();
      await receiver.stop();
      writeFileSync(folder.file('app.lua'), "require 'httpd'.register_handler('/', function() end)");
    }
  });

test('ServiceManager tells that the gateway is alive only while it is', () => {
  mock.timers.enable({ apis: ['setInterval'] });
  const logger = createLogger('info', 'test', () => undefined);
  try {
    const sent: string[] = [];
    let isAlive = true;
    const manager = new ServiceManager((text) => sent.push(text));
    manager.watch({ WATCHDOG_USEC: '10000000' }, () => isAlive, logger);
    mock.timers.tick(5000);
    isAlive = false;
    mock.timers.tick(20_000);
    assert.deepEqual(sent, ['WATCHDOG=1', 'WATCHDOG=1']);
    isAlive = true;
    mock.timers.tick(5000);
    assert.equal(sent.length, 3);
    manager.stop();
    mock.timers.tick(20_000);
    assert.equal(sent.length, 3);
  } finally {
    mock.timers.reset();
  }
});

test('A service manager that is not there is a warning, and no reason to end', () => {
  const lines: string[] = [];
  const logger = createLogger('info', 'test', (line) => lines.push(line));
  assert.equal(ServiceManager.of({}, logger), undefined);
  assert.equal(ServiceManager.of({ NOTIFY_SOCKET: 'vsock:1:2' }, logger), undefined);
  const manager = ServiceManager.of({ NOTIFY_SOCKET: folder.file('nobody') }, logger);
  manager?.ready('x');
  manager?.stopping();
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /The service manager cannot be told how the gateway is: ENOENT/);
});
