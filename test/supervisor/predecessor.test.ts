/** Predecessor: what a successor takes from the pipe, and what it refuses. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { handoverMessage, SUCCESSOR_MARK } from '../../src/supervisor/handover.ts';
import { Predecessor, type PredecessorPipe } from '../../src/supervisor/predecessor.ts';
import { Upgrader } from '../../src/supervisor/upgrader.ts';

class TestPipe extends EventEmitter implements PredecessorPipe {
  connected = true;
  readonly sent: unknown[] = [];

  send(message: unknown, _handle: undefined, _options: undefined, sent: () => void): void {
    this.sent.push(message);
    sent();
  }

  disconnect(): void {
    this.connected = false;
    this.emit('disconnect');
  }
}

const HANDOVER = handoverMessage({ sockets: [{ scheme: 'https' }], ticketKeys: undefined, tls: undefined });

/** `first` comes when somebody listens. */
function find(pipe: TestPipe, first: unknown): Promise<Predecessor | undefined> {
  const environment = { [SUCCESSOR_MARK]: '1' };
  const found = Predecessor.find(environment, pipe, 7);
  assert.deepEqual(environment, {}, 'no program that a script starts sees the mark');
  pipe.emit('message', first);
  return found;
}

test('Predecessor.find() is undefined for a process that nobody has started as a successor', async () => {
  assert.equal(await Predecessor.find({}, new TestPipe(), 7), undefined);
});

test('Predecessor hands over, waits for go, and tells what comes later', async () => {
  const pipe = new TestPipe();
  const predecessor = await find(pipe, HANDOVER);
  assert.deepEqual(predecessor?.handover.sockets, [{ scheme: 'https' }]);
  const ready = predecessor?.ready();
  assert.deepEqual(pipe.sent, [{ type: 'ready' }]);
  pipe.emit('message', { type: 'go' });
  await ready;
  pipe.emit('message', { type: 'once', records: [] });
  const heard: unknown[] = [];
  predecessor?.hear((message) => heard.push(message?.type));
  pipe.disconnect();
  assert.deepEqual(heard, ['once', undefined]);
});

test('Predecessor.ready() goes on when the predecessor has ended: somebody has to serve', async () => {
  const pipe = new TestPipe();
  const predecessor = await find(pipe, HANDOVER);
  const ready = predecessor?.ready();
  pipe.disconnect();
  await ready;
});

for (const [what, message, reason] of [
  ['another protocol', { ...HANDOVER, protocol: 2 }, 'speaks protocol 2, and this is 1'],
  ['another first message', { type: 'go' }, 'began with "go"'],
  ['what is no message', 'hello', 'sent something unknown'],
  ['no sockets', { ...HANDOVER, sockets: 'x' }, 'hands over no list of at most 64 sockets'],
  [
    'too many sockets',
    { ...HANDOVER, sockets: Array(65).fill({}) },
    'hands over no list of at most 64 sockets',
  ],
] as const)
  test(`Predecessor.find() refuses ${what}`, async () => {
    await assert.rejects(find(new TestPipe(), message), {
      code: 'LGW_UPGRADE',
      message: `The process before this one ${reason}`,
    });
  });

test('Upgrader.upgrade() refuses where this is process 1 of a container', async () => {
  const supervisor = {} as ConstructorParameters<typeof Upgrader>[0]['supervisor'];
  const upgrader = new Upgrader({ supervisor, command: { main: 'x', argv: [] }, pid: 1 });
  await assert.rejects(upgrader.upgrade(), /This is process 1 of its container, which ends with it/);
});
