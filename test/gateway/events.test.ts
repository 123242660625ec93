/** Events over two workers: publish and subscribe, streams that a reload and a drain end, a worker that crashes. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2';
import { after, before, test } from 'node:test';
import { BroadcastChannel } from 'node:worker_threads';
import { Browser } from '../support/browser.ts';
import { EventReader } from '../support/event-reader.ts';
import { realSupervisor } from '../support/real-supervisor.ts';
import { GatewayFolder } from '../support/run-gateway.ts';
import { TestGateway, WAIT_MAX_MS } from '../support/test-gateway.ts';

/** Keeps the last events in a dictionary, so that a client that comes back gets what it has missed. */
const SCRIPT = `
local httpd = require 'httpd'
local ring = httpd.shared('ring')
httpd.register_handler('/worker', function() httpd.write(nil, httpd.worker.id) end)
httpd.register_handler('/publish', function(env)
  local id = ring:incr('last', 1, 0)
  ring:set(id, env.QUERY_INFO, 60)
  httpd.write(nil, httpd.publish('news', id))
end)
httpd.register_handler('/events', function()
  local sub = assert(httpd.subscribe('news'))
  local s = assert(httpd.sse{retry = 0.05})
  local seen = tonumber(s.last_id) or ring:get('last') or 0
  local function catch_up(last)
    for id = seen + 1, last do s:send{id = id, data = ring:get(id) or 'lost'} end
    seen = math.max(seen, last)
  end
  s:send{event = 'hello', data = httpd.worker.id}
  catch_up(ring:get('last') or 0)
  for id in sub:messages() do catch_up(tonumber(id)) end
end)
httpd.register_handler('/page', function()
  httpd.header{[':status'] = 200, ['content-type'] = 'text/html'}
  httpd.write(nil, [[<!doctype html><title>news</title><script>
    var seen = [], hellos = 0, source = new EventSource('/events');
    source.onmessage = function (event) { seen.push(event.data); };
    source.addEventListener('hello', function () { hellos += 1; });
  </script>]])
end)
`;

/** What test/worker/crashing-worker.ts listens to. */
const CRASH_CHANNEL = 'lgateway-test-crash';

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { workers: 2 });
});
after(() => gateway.stop());

/** One session with each worker. */
async function sessionsOfBoth(
  open: () => Promise<ClientHttp2Session> = () => gateway.session(),
): Promise<[ClientHttp2Session, ClientHttp2Session]> {
  const found = new Map<string, ClientHttp2Session>();
  for (const limit = performance.now() + WAIT_MAX_MS; found.size < 2; ) {
    assert.ok(performance.now() < limit, 'both workers accept connections');
    const session = await open();
    const id = await textOf(session.request({ ':path': '/worker' }));
    if (found.has(id)) session.destroy();
    else found.set(id, session);
  }
  return [found.get('1') as ClientHttp2Session, found.get('2') as ClientHttp2Session];
}

function textOf(stream: ClientHttp2Stream): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    stream.setEncoding('latin1').on('data', (piece: string) => {
      text += piece;
    });
    stream.on('end', () => resolve(text)).on('error', reject);
    stream.end();
  });
}

/** A client of the stream; `closed` resolves with true when it has ended as it should. */
function listen(
  session: ClientHttp2Session,
  lastId?: string,
): { reader: EventReader; closed: Promise<boolean>; stream: ClientHttp2Stream } {
  const reader = new EventReader();
  const stream = session.request({
    ':path': '/events',
    ...(lastId === undefined ? {} : { 'last-event-id': lastId }),
  });
  stream.setEncoding('latin1').on('data', (piece: string) => reader.read(piece));
  stream.on('error', () => undefined);
  let ended = false;
  stream.on('end', () => {
    ended = true;
  });
  const closed = new Promise<boolean>((resolve) =>
    stream.on('close', () => resolve(ended && stream.rstCode === 0)),
  );
  stream.end();
  return { reader, closed, stream };
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (const limit = performance.now() + WAIT_MAX_MS; !holds(); ) {
    assert.ok(performance.now() < limit, `${what}; ${gateway.log}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const news = ({ events }: EventReader): string[] =>
  events.filter(({ event }) => event === 'message').map(({ data }) => data);

test('What one worker publishes reaches the subscribers of both', async () => {
  const [one, two] = await sessionsOfBoth();
  const clients = [listen(one), listen(two), listen(two)];
  await until(() => clients.every(({ reader }) => reader.events.length === 1), 'all are greeted');
  assert.equal(await textOf(one.request({ ':path': '/publish?first' })), '1');
  assert.equal(await textOf(two.request({ ':path': '/publish?second' })), '2');
  await until(() => clients.every(({ reader }) => news(reader).length === 2), 'all have both');
  for (const { reader } of clients) assert.deepEqual(news(reader), ['first', 'second']);
  assert.equal((await gateway.counters()).messagesTotal, 2);
  for (const { stream } of clients) stream.destroy();
  await gateway.untilIdle();
});

test('A reload ends streams in whole events, and a client that comes back has lost none', async () => {
  const [one, two] = await sessionsOfBoth();
  const client = listen(one);
  await until(() => client.reader.events.length === 1, 'the client is greeted');
  const sent: string[] = [];
  const publish = async (text: string): Promise<void> => {
    sent.push(text);
    await textOf(two.request({ ':path': `/publish?${text}` }));
  };
  for (let i = 0; i < 5; i++) await publish(`before-${i}`);
  gateway.running.signal('SIGHUP');
  for (let i = 0; i < 20; i++) await publish(`during-${i}`);
  assert.equal(await client.closed, true);
  await publish('between');
  const again = listen(one, client.reader.lastId);
  await publish('after');
  await until(() => news(again.reader).at(-1) === 'after', 'the client has caught up');
  assert.deepEqual([...news(client.reader), ...news(again.reader)], sent);
  again.stream.destroy();
  // no state of before the reload is left
  await gateway.untilIdle();
});

test('EventSource in Chromium comes back over reloads and has lost no event', async () => {
  const browser = new Browser();
  try {
    await browser.start();
    const [one, two] = await sessionsOfBoth();
    await browser.open(`${gateway.url}/page`);
    await browser.waitFor('hellos === 1');
    const sent: string[] = [];
    const publish = async (session: ClientHttp2Session, text: string): Promise<void> => {
      sent.push(text);
      await textOf(session.request({ ':path': `/publish?${text}` }));
    };
    for (let reload = 1; reload <= 2; reload++) {
      for (let i = 0; i < 5; i++) await publish(i % 2 === 0 ? one : two, `before-${reload}-${i}`);
      gateway.running.signal('SIGHUP');
      for (let i = 0; i < 10; i++) await publish(i % 2 === 0 ? one : two, `during-${reload}-${i}`);
      await browser.waitFor(`hellos > ${reload} && source.readyState === 1`);
      await publish(two, `after-${reload}`);
      await browser.waitFor(`seen[seen.length - 1] === 'after-${reload}'`);
    }
    assert.deepEqual(await browser.evaluate('seen'), sent);
  } finally {
    await browser.stop();
  }
});

test('A worker that crashes loses its subscribers, and those of the others go on; the one in its place subscribes anew', async () => {
  const folder = new GatewayFolder();
  writeFileSync(folder.file('app.lua'), SCRIPT);
  const lines: string[] = [];
  const workerEntry = new URL('../worker/crashing-worker.js', import.meta.url);
  const supervisor = realSupervisor(folder, lines, { workers: 2 }, { workerEntry });
  const channel = new BroadcastChannel(CRASH_CHANNEL);
  const open = (): Promise<ClientHttp2Session> => openSession(folder, supervisor.addresses[0]?.port ?? 0);
  const interest = (): Promise<readonly number[]> =>
    new Promise((resolve) => {
      channel.onmessage = (event) =>
        resolve((event as { data: { interest: readonly number[] } }).data.interest);
      channel.postMessage('interest');
    });
  const sessions: ClientHttp2Session[] = [];
  try {
    await supervisor.start();
    const program = supervisor.events.subscribe('news');
    const heard: string[] = [];
    void (async () => {
      for await (const { text } of program) heard.push(text);
    })();
    const [one, two] = await sessionsOfBoth(open);
    const [kept, cut] = [listen(one), listen(two)];
    await until(() => [kept, cut].every(({ reader }) => reader.events.length === 1), 'both are greeted');
    assert.deepEqual(await interest(), [1, 1, 1]);
    channel.postMessage(2);
    assert.equal(await cut.closed, false);
    await until(
      () => lines.some((line) => line.includes('Worker 2 ended and is replaced')),
      'it is replaced',
    );
    assert.equal(await textOf(one.request({ ':path': '/publish?meanwhile' })), '1');
    const [still, next] = await sessionsOfBoth(open);
    sessions.push(one, still, next);
    assert.equal(await textOf(next.request({ ':path': '/publish?back' })), '0');
    const again = listen(next);
    await until(() => again.reader.events.length === 1, 'it is greeted');
    assert.equal(await textOf(one.request({ ':path': '/publish?both' })), '1');
    assert.equal(await textOf(next.request({ ':path': '/publish?all' })), '1');
    await until(() => news(kept.reader).length === 4 && news(again.reader).length === 2, 'all have all');
    assert.deepEqual(news(kept.reader), ['meanwhile', 'back', 'both', 'all']);
    assert.deepEqual(news(again.reader), ['both', 'all']);
    // what the program hears are the numbers
    await until(() => heard.length === 4, 'the program has all');
    // those of two workers come in any order
    assert.deepEqual(heard.toSorted(), ['1', '2', '3', '4']);
    for (const { stream } of [kept, again]) stream.destroy();
    program.close();
    let left = await interest();
    for (
      const limit = performance.now() + WAIT_MAX_MS;
      left.some((count) => count > 0);
      left = await interest()
    )
      assert.ok(performance.now() < limit, `${left} subscriptions are left`);
    assert.deepEqual(left, [0, 0, 0]);
  } finally {
    for (const session of sessions) session.destroy();
    channel.close();
    await supervisor.stop();
    folder.remove();
  }
});

function openSession(folder: GatewayFolder, port: number): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const ca = readFileSync(folder.certificate);
    const session = connectHttp2(`https://localhost:${port}`, { ca });
    session.once('error', reject);
    session.once('remoteSettings', () => {
      session.off('error', reject).on('error', () => undefined);
      resolve(session);
    });
  });
}

test('A drain ends streams, and is over when they are', async () => {
  const [one, two] = await sessionsOfBoth();
  const clients = [listen(one), listen(two)];
  await until(() => clients.every(({ reader }) => reader.events.length === 1), 'both are greeted');
  gateway.running.signal('SIGTERM');
  assert.deepEqual(await Promise.all(clients.map(({ closed }) => closed)), [true, true]);
});
