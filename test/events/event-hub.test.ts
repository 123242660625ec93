/** Publish and subscribe of threads that an EventMesh joins: who gets what, what slow ones lose, and what bounds all of it. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { EventHub } from '../../src/events/event-hub.ts';
import {
  BYTES_ON_THE_WAY_MAX,
  CHANNEL_BYTES_MAX,
  MESSAGE_BYTES_MAX,
  MESSAGE_OVERHEAD_BYTES,
  QUEUE_BYTES_MAX,
  SUBSCRIPTION_CHANNELS_MAX,
} from '../../src/events/event-limits.ts';
import type { Subscription } from '../../src/events/subscription.ts';
import { TextEvents } from '../../src/events/text-events.ts';
import { NOTHING, type Share, Shares } from '../../src/mapping/shares.ts';
import { EventMesh } from '../../src/supervisor/event-mesh.ts';
import { eventually } from '../support/script-harness.ts';
import { waitFor } from '../support/test-front-end.ts';

const open: EventHub[] = [];
after(() => {
  for (const hub of open) hub.close();
});

function shareOf(limits: Partial<typeof NOTHING> = {}, shares?: Shares, name = '/'): Share {
  const all = { ...NOTHING, subscriptions: 1000, messageBytes: 1024 * 1024 * 1024, ...limits };
  return (shares ?? new Shares({ limits: all, percent: 50 })).of(name);
}

/** A thread of the mesh, which is this one. */
function join(mesh: EventMesh, thread: number): EventHub {
  const hub = new EventHub(thread, mesh.interest);
  mesh.join(thread, (end) => hub.connect(end));
  open.push(hub);
  return hub;
}

function take(subscription: Subscription): string[] {
  const taken: string[] = [];
  for (let next = subscription.take(); next !== undefined; next = subscription.take())
    taken.push(`${next.lost > 0 ? `(${next.lost}) ` : ''}${next.channel}:${next.text}`);
  return taken;
}

async function untilTaken(subscription: Subscription, count: number): Promise<string[]> {
  await eventually(() => assert.equal(subscription.length, count));
  return take(subscription);
}

test('A message reaches all who have subscribed, here and in other threads, in order; publish says how many are here', async () => {
  const mesh = new EventMesh(3);
  const [one, two, three] = [join(mesh, 1), join(mesh, 2), join(mesh, 3)];
  const share = shareOf();
  const here = [one.subscribe(['a'], share), one.subscribe(['a', 'b'], share)];
  const there = two.subscribe(['b', 'a', 'b'], share);
  const elsewhere = three.subscribe(['c'], share);
  assert.deepEqual([one.publish('a', '1'), one.publish('b', '2'), one.publish('a', '3')], [2, 1, 2]);
  assert.equal(one.publish('nobody', 'x'), 0);
  assert.deepEqual(await untilTaken(there, 3), ['a:1', 'b:2', 'a:3']);
  assert.deepEqual(await untilTaken(here[0] as Subscription, 2), ['a:1', 'a:3']);
  assert.deepEqual(await untilTaken(here[1] as Subscription, 3), ['a:1', 'b:2', 'a:3']);
  assert.equal(elsewhere.length, 0);
  for (const subscription of [...here, there, elsewhere]) subscription.close();
  assert.deepEqual([share.used('subscriptions'), share.used('messageBytes')], [0, 0]);
});

test('A subscriber gets nothing that was published here before', async () => {
  const hub = join(new EventMesh(1), 1);
  const share = shareOf();
  const early = hub.subscribe(['a'], share);
  hub.publish('a', 'before');
  const late = hub.subscribe(['a'], share);
  hub.publish('a', 'after');
  assert.deepEqual(await untilTaken(early, 2), ['a:before', 'a:after']);
  assert.deepEqual(take(late), ['a:after']);
});

test('A slow subscriber loses its oldest messages and is told how many, whether they are too many or too long', async () => {
  const hub = join(new EventMesh(1), 1);
  const share = shareOf();
  const few = hub.subscribe(['a'], share, { queue: 2 });
  const many = hub.subscribe(['a'], share, { queue: 1000 });
  for (let i = 1; i <= 5; i++) hub.publish('a', String(i));
  assert.deepEqual(await untilTaken(few, 2), ['(3) a:4', 'a:5']);
  assert.equal(take(many).length, 5);
  hub.publish('a', '6');
  assert.deepEqual(await untilTaken(few, 1), ['a:6']);
  take(many);
  const size = 200_000;
  const fit = Math.floor(QUEUE_BYTES_MAX / (size + MESSAGE_OVERHEAD_BYTES));
  for (let i = 0; i < fit + 3; i++) hub.publish('a', String(i).padStart(size));
  await eventually(() => assert.equal(many.length, fit));
  assert.equal(many.take()?.lost, 3);
  few.close();
  many.close();
  assert.equal(share.used('messageBytes'), 0);
});

test('Names, messages and channels of a subscription have bounds', () => {
  const hub = join(new EventMesh(1), 1);
  const share = shareOf({ subscriptions: 70 });
  const limit = { code: 'LGW_EVENT_LIMIT', luaCode: 'limit' };
  assert.equal(hub.publish('c'.repeat(CHANNEL_BYTES_MAX), 'm'.repeat(MESSAGE_BYTES_MAX)), 0);
  assert.throws(() => hub.publish('c'.repeat(CHANNEL_BYTES_MAX + 1), ''), limit);
  assert.throws(() => hub.publish('c', 'm'.repeat(MESSAGE_BYTES_MAX + 1)), limit);
  assert.throws(() => hub.publish('', 'm'), RangeError);
  assert.throws(() => hub.subscribe([], share), RangeError);
  const names = Array.from({ length: SUBSCRIPTION_CHANNELS_MAX + 1 }, (_, i) => String(i));
  assert.throws(() => hub.subscribe(names, share), limit);
  const most = hub.subscribe(names.slice(1), share);
  for (let i = SUBSCRIPTION_CHANNELS_MAX; i < 70; i++) hub.subscribe(['x'], share);
  assert.throws(() => hub.subscribe(['x'], share), {
    ...limit,
    message: 'Cannot subscribe: 70 channels are subscribed to and the limit is 70',
  });
  most.close();
  assert.equal(share.used('subscriptions'), 6);
});

test('A mapping whose subscribers hold all that it may loses messages, and no other does; one message counts once', async () => {
  const hub = join(new EventMesh(1), 1);
  const size = 1000 + MESSAGE_OVERHEAD_BYTES;
  const shares = new Shares({
    limits: { ...NOTHING, subscriptions: 1000, messageBytes: 16 * size },
    percent: 50,
  });
  const [greedy, modest] = [shareOf({}, shares, '/greedy'), shareOf({}, shares, '/modest')];
  const slow = Array.from({ length: 20 }, () => hub.subscribe(['a'], greedy));
  const other = hub.subscribe(['a'], modest);
  for (let i = 0; i < 3; i++) hub.publish('a', String(i).padStart(1000));
  await eventually(() => assert.equal(other.length, 3));
  assert.equal(greedy.used('messageBytes'), 3 * size);
  assert.equal(take(other).length, 3);
  for (let i = 3; i < 12; i++) {
    hub.publish('a', String(i).padStart(1000));
    await eventually(() => assert.equal(other.length, 1));
    assert.match(take(other)[0] ?? '', /^a: +\d+$/);
  }
  assert.ok(greedy.used('messageBytes') <= 8 * size, `${greedy.used('messageBytes')} bytes`);
  const last = slow[0] as Subscription;
  let seen = 0;
  for (let next = last.take(); next !== undefined; next = last.take()) seen += 1 + next.lost;
  assert.equal(seen, 12, 'all are told of');
});

test('What a thread publishes faster than another takes it is lost there and told of, and what waits is bounded', async () => {
  const mesh = new EventMesh(2);
  const [one, two] = [join(mesh, 1), join(mesh, 2)];
  const share = shareOf();
  const here = one.subscribe(['a'], share, { queue: 1000 });
  const there = two.subscribe(['a'], share, { queue: 1000 });
  const size = 100_000;
  const count = 100;
  for (let i = 0; i < count; i++) one.publish('a', 'x'.repeat(size));
  const most = Math.floor(BYTES_ON_THE_WAY_MAX / size);
  // the bytes of a queue bound it, too; both count what they lose
  for (const subscription of [here, there]) {
    let told = 0;
    await eventually(() => {
      for (let next = subscription.take(); next !== undefined; next = subscription.take())
        told += 1 + next.lost;
      // no message has to come for that
      told += subscription.takeLost();
      assert.equal(told, count);
    });
  }
  one.publish('a', 'last');
  for (const subscription of [here, there])
    await eventually(() => assert.deepEqual(subscription.take(), { channel: 'a', text: 'last', lost: 0 }));
  assert.ok(most < count, 'more was published than may be on the way');
});

test('What has been published is handed out in turns, between which others come', async () => {
  const hub = join(new EventMesh(1), 1);
  const share = shareOf();
  const subscriptions = Array.from({ length: 900 }, () => hub.subscribe(['a'], share));
  for (let i = 0; i < 50; i++) hub.publish('a', 'x');
  let turns = 0;
  const last = subscriptions.at(-1) as Subscription;
  while (last.length < 50) {
    await new Promise((resolve) => setImmediate(resolve));
    turns += 1;
  }
  assert.ok(turns >= 5, `${turns} turns`);
});

test('A thread that ends is forgotten, and one that takes its place gets what is published from then on', async () => {
  const mesh = new EventMesh(2);
  const one = join(mesh, 1);
  const lost = join(mesh, 2);
  lost.subscribe(['a'], shareOf());
  mesh.leave(2);
  lost.close();
  one.publish('a', 'to nobody');
  const next = join(mesh, 2);
  const subscription = next.subscribe(['a'], shareOf());
  one.publish('a', 'to the next');
  assert.deepEqual(await untilTaken(subscription, 1), ['a:to the next']);
});

test('A program publishes texts and bytes, and iterates over what it gets until it leaves the loop', async () => {
  const mesh = new EventMesh(1);
  const hub = join(mesh, 1);
  const share = shareOf();
  const worker = new TextEvents(hub, share);
  // ways between threads keep nobody alive
  const alive = setInterval(() => undefined, 1000);
  try {
    const subscription = worker.subscribe(['käse', 'b'], { queue: 2 });
    assert.throws(() => worker.subscribe('a', { queue: 0 }), RangeError);
    mesh.main.publish('käse', 'grün');
    for await (const { channel, text, bytes, lost } of subscription) {
      assert.deepEqual([channel, text, lost, bytes.length], ['käse', 'grün', 0, 5]);
      break;
    }
    assert.deepEqual(await subscription.next(), { done: true, value: undefined });
    const other = mesh.main.subscribe('b');
    const waiting = other.next();
    await assert.rejects(other.next(), /waits for the next message already/);
    worker.publish('b', Buffer.from([255, 0]));
    assert.deepEqual((await waiting).value?.bytes, Buffer.from([255, 0]));
    const closed = other.next();
    other.close();
    assert.equal((await closed).done, true);
    assert.equal(share.used('subscriptions'), 0);
  } finally {
    clearInterval(alive);
    mesh.close();
  }
});

test('A program and handlers in TypeScript fill no more queues in a second than their limit', async () => {
  const mesh = new EventMesh(1);
  const hub = join(mesh, 1);
  const share = shareOf();
  const subscriptions = Array.from({ length: 10 }, () => hub.subscribe(['a'], share));
  const events = new TextEvents(hub, share, 25);
  assert.deepEqual(
    [1, 2, 3].map(() => events.publish('a', 'x')),
    [10, 10, 10],
  );
  assert.throws(() => events.publish('a', 'x'), {
    code: 'LGW_EVENT_LIMIT',
    luaCode: 'limit',
    message:
      'Cannot publish: what was published in this second went to 25 subscribers and the limit is as many',
  });
  // another mapping has a limit of its own, and a message without subscribers costs none
  assert.equal(new TextEvents(hub, share, 25).publish('a', 'x'), 10);
  let count = 0;
  await waitFor(() => {
    try {
      count = events.publish('a', 'x');
    } catch {}
    return count > 0;
  }, 'a part of a second to pass');
  for (const subscription of subscriptions) subscription.close();
  mesh.close();
});
