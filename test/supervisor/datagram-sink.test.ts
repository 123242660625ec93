/** DatagramSink: to unix sockets and by UDP, whether somebody is there or not. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import {
  DatagramSink,
  type DatagramSinkOptions,
  udpSender,
  unixSender,
} from '../../src/supervisor/datagram-sink.ts';
import { journaldFrame, syslogFrame } from '../../src/supervisor/log-frames.ts';

const FLUSH_MS = 20_000;
/** Binds a unix socket and writes what comes as hexadecimal lines. Waits for a line of its input before it takes anything. */
const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
sys.stdin.readline()
while True:
    print(s.recv(1 << 20).hex(), flush=True)
`;

let folder: string;
let receivers: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lgateway-datagrams-'));
});
afterEach(() => {
  for (const receiver of receivers) receiver.kill();
  receivers = [];
  rmSync(folder, { recursive: true });
});

interface Receiver {
  readonly messages: string[];
  /** Begins to take. */
  go(): void;
  until(holds: () => boolean): Promise<void>;
}

async function receive(path: string): Promise<Receiver> {
  const child = spawn('python3', ['-c', RECEIVER, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  receivers.push(child);
  const messages: string[] = [];
  let [isBound, rest] = [false, ''];
  let heard = (): void => undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines)
      if (line === 'bound') isBound = true;
      else messages.push(Buffer.from(line, 'hex').toString());
    heard();
  });
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds())
      await new Promise<void>((resolve) => {
        heard = resolve;
      });
  };
  await until(() => isBound);
  return { messages, go: () => child.stdin.write('\n'), until };
}

function sink(options: Pick<DatagramSinkOptions, 'sender'> & Partial<DatagramSinkOptions>): DatagramSink {
  return new DatagramSink({ log: 'access log', name: 'here', frame: syslogFrame, ...options });
}

const lines = (count: number): Buffer =>
  Buffer.from(Array.from({ length: count }, (_, i) => `line ${i}\n`).join(''));

test('Each line is a message of RFC 5424 to a unix socket; a slow receiver gets all that waits, in order', async () => {
  const path = join(folder, 'log');
  const receiver = await receive(path);
  const own = sink({ sender: unixSender(path) });
  // more than a socket holds
  own.writeLines(lines(3000));
  receiver.go();
  await receiver.until(() => receiver.messages.length === 3000);
  await own.flush(FLUSH_MS);
  const form = /^<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [!-~]+ lgateway \d+ access - (line \d+)$/;
  const found = receiver.messages.map((message) => form.exec(message)?.[1]);
  assert.deepEqual(
    found,
    Array.from({ length: 3000 }, (_, i) => `line ${i}`),
  );
  own.close();
});

test('journald gets its native protocol: a line for each field', async () => {
  const path = join(folder, 'journal');
  const receiver = await receive(path);
  receiver.go();
  const own = sink({ sender: unixSender(path), frame: journaldFrame });
  own.writeLines(Buffer.from('MESSAGE=GET / 200\x1fPRIORITY=6\x1fLGATEWAY_STATUS=200\n'));
  await receiver.until(() => receiver.messages.length === 1);
  assert.equal(receiver.messages[0], 'MESSAGE=GET / 200\nPRIORITY=6\nLGATEWAY_STATUS=200\n');
  own.close();
});

test('A receiver that stands still holds up nobody: its limit holds, the rest is dropped and told of once', async () => {
  const path = join(folder, 'log');
  const receiver = await receive(path);
  const complaints: string[] = [];
  const complain = (message: string): unknown => complaints.push(message);
  const own = sink({ sender: unixSender(path), queueBytesMax: 20_000, complain: (m) => void complain(m) });
  for (let i = 0; i < 20; i++) {
    own.writeLines(lines(100));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(complaints.length, 1);
  assert.match(
    complaints[0] ?? '',
    /^Cannot send the access log to here: it takes them too slowly; 1 lines are lost/,
  );
  receiver.go();
  await own.flush(FLUSH_MS);
  await receiver.until(() => receiver.messages.length > 100);
  assert.ok(receiver.messages.length < 2000);
  own.close();
});

test('A receiver need not be there, and gets what comes from when it is', async () => {
  const path = join(folder, 'log');
  const complaints: string[] = [];
  const own = sink({ sender: unixSender(path), complain: (message) => void complaints.push(message) });
  own.writeLines(lines(3));
  await own.flush(FLUSH_MS);
  assert.deepEqual(complaints, ['Cannot send the access log to here: ENOENT; 1 lines are lost so far']);
  assert.ok(!existsSync(path));
  const receiver = await receive(path);
  receiver.go();
  own.writeLines(lines(2));
  await receiver.until(() => receiver.messages.length === 2);
  own.close();
});

test('UDP: messages come to the address, and a long one is cut', async () => {
  const receiver = createSocket('udp4');
  await new Promise<void>((resolve) => receiver.bind(0, '127.0.0.1', resolve));
  const own = sink({ sender: udpSender('127.0.0.1', receiver.address().port) });
  const message = new Promise<Buffer>((resolve) => receiver.once('message', resolve));
  own.writeLines(Buffer.from(`${'x'.repeat(20_000)}\n`));
  const got = await message;
  assert.equal(got.length, 8000);
  assert.match(got.toString(), /^<30>1 \S+ \S+ lgateway \d+ access - x+$/);
  await own.flush(FLUSH_MS);
  own.close();
  receiver.close();
});
