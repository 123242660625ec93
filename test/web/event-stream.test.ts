/** eventStream: events, heartbeats and ends of streams of TypeScript handlers; publish and subscribe of their contexts. */
import assert from 'node:assert/strict';
import { get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterEach } from 'node:test';
import {
  eventStream,
  type ServerEvent,
  type ServerOptions,
  testContext,
  type WebHandler,
} from '../../src/index.ts';
import { calmTest as test } from '../support/calm.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { EventReader } from '../support/event-reader.ts';
import { eventually } from '../support/script-harness.ts';

let server: EmbeddedServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function serve(handler: WebHandler, options: ServerOptions = {}): Promise<EmbeddedServer> {
  server = await EmbeddedServer.start(handler, options);
  return server;
}

/** A client that reads events as they come. */
async function listen(
  { url }: EmbeddedServer,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ response: IncomingMessage; reader: EventReader; closed: Promise<boolean> }> {
  const reader = new EventReader();
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, { headers, agent: false }, resolve).on('error', reject);
  });
  response.setEncoding('utf8').on('data', (text: string) => reader.read(text));
  response.on('error', () => undefined);
  const closed = new Promise<boolean>((resolve) => response.on('close', () => resolve(response.complete)));
  return { response, reader, closed };
}

test('A generator gives texts and events, and hears what the client has seen last', async () => {
  const { response, reader, closed } = await listen(
    await serve((request, context) =>
      eventStream(
        request,
        context,
        async function* (lastId) {
          yield `after ${lastId}`;
          yield { data: 'grün\nblau', event: 'news', id: '8', retry: 2 };
        },
        { retry: 0.5, headers: { 'x-more': 'yes' } },
      ),
    ),
    { 'last-event-id': '7' },
  );
  assert.equal(await closed, true);
  assert.equal(response.headers['content-type'], 'text/event-stream');
  assert.equal(response.headers['cache-control'], 'no-store');
  assert.equal(response.headers['x-more'], 'yes');
  assert.deepEqual(reader.events, [
    { event: 'message', data: 'after 7', id: '' },
    { event: 'news', data: 'grün\nblau', id: '8' },
  ]);
  assert.equal(reader.retryMs, 2000);
});

test('Heartbeats come while the generator waits, and keep its answer alive', async () => {
  const { reader, closed } = await listen(
    await serve(
      (request, context) =>
        eventStream(
          request,
          context,
          async function* () {
            await new Promise((resolve) => setTimeout(resolve, 1500));
            yield 'late';
          },
          { heartbeat: 0.2 },
        ),
      { limits: { timeLimitMs: 1000 } },
    ),
  );
  assert.equal(await closed, true);
  assert.deepEqual(
    reader.events.map(({ data }) => data),
    ['late'],
  );
  assert.ok(reader.comments >= 3, `${reader.comments} comments`);
});

test('Where the time limit is short, heartbeats come often enough', async () => {
  const { reader, closed } = await listen(
    await serve(
      (request, context) =>
        eventStream(request, context, async function* () {
          await new Promise((resolve) => setTimeout(resolve, 1200));
          yield 'late';
        }),
      { limits: { timeLimitMs: 600 } },
    ),
  );
  assert.equal(await closed, true);
  assert.equal(reader.events.length, 1);
  assert.ok(reader.comments >= 2, `${reader.comments} comments`);
});

test('A client that goes ends the generator and the subscriptions of its request', async () => {
  let ended = 0;
  const handler: WebHandler = (request, context) => {
    if (new URL(request.url).pathname === '/publish') return Response.json(context.publish('news', 'hello'));
    const news = context.subscribe(['news', 'other']);
    const events = async function* (): AsyncGenerator<ServerEvent> {
      try {
        for await (const { text, channel } of news) yield { event: channel, data: text };
      } finally {
        ended += 1;
      }
    };
    // nothing that is written finds out
    return eventStream(request, context, events, { heartbeat: false });
  };
  const running = await serve(handler);
  const clients = [await listen(running), await listen(running)];
  const publish = async (): Promise<unknown> => (await fetch(`${running.url}/publish`)).json();
  assert.equal(await publish(), 2);
  for (const { reader } of clients)
    await eventually(() => assert.deepEqual(reader.events, [{ event: 'news', data: 'hello', id: '' }]));
  for (const { response } of clients) response.destroy();
  await eventually(() => assert.equal(ended, 2));
  assert.equal(await publish(), 0);
});

for (const stage of [
  'before the answer',
  'before the first event',
  'between two events',
  'amid more than it reads',
])
  test(`A client that goes ${stage} of a handler in TypeScript ends it, and its subscriptions`, async () => {
    let isThere = false;
    let ended = 0;
    const handler: WebHandler = async (request, context) => {
      if (new URL(request.url).pathname === '/publish')
        return Response.json(context.publish('news', 'hello'));
      const news = context.subscribe('news');
      const waits = async (): Promise<void> => {
        isThere = true;
        const { done } = await news.next();
        assert.equal(done, true);
      };
      if (stage === 'before the answer') {
        await waits();
        ended += 1;
      }
      return eventStream(request, context, async function* () {
        try {
          if (stage === 'before the first event') await waits();
          yield 'first';
          if (stage === 'between two events') await waits();
          for (isThere = true; ; ) yield 'x'.repeat(200_000);
        } finally {
          ended += 1;
        }
      });
    };
    const { port, url } = await serve(handler);
    const client = connect(port, '127.0.0.1');
    client.on('error', () => undefined);
    client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await eventually(() => assert.ok(isThere));
    client.destroy();
    await eventually(() => assert.equal(ended, 1));
    assert.equal(await (await fetch(`${url}/publish`)).json(), 0);
  });

test('A shutdown ends streams in whole events, and is over when they are', async () => {
  const running = await serve((request, context) =>
    eventStream(request, context, async function* () {
      yield 'hello';
      await new Promise(() => undefined);
    }),
  );
  const { reader, closed } = await listen(running);
  await eventually(() => assert.equal(reader.events.length, 1));
  await running.handle.shutdown();
  assert.equal(await closed, true);
});

test('An event that cannot be cuts the answer, and the log says why; HEAD begins no generator', async () => {
  let begun = 0;
  let goOn: () => void = () => undefined;
  const isRead = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const running = await serve((request, context) =>
    eventStream(request, context, async function* () {
      begun += 1;
      yield 'whole';
      await isRead;
      yield { data: 'x', id: 'a\nb' };
    }),
  );
  const head = await fetch(running.url, { method: 'HEAD' });
  assert.deepEqual([head.headers.get('content-type'), begun], ['text/event-stream', 0]);
  const { reader, closed } = await listen(running);
  await eventually(() => assert.equal(reader.events.length, 1));
  goOn();
  assert.equal(await closed, false);
  assert.deepEqual(
    reader.events.map(({ data }) => data),
    ['whole'],
  );
  await running.untilLog(/"id" of an event holds NUL, CR or LF/);
});

test('Options that cannot be are refused', () => {
  const request = new Request('http://localhost/');
  const none = async function* (): AsyncGenerator<string> {};
  for (const options of [{ retry: -1 }, { heartbeat: 0 }, { heartbeat: 3601 }, { other: 1 } as object])
    assert.throws(() => eventStream(request, testContext(), none, options), RangeError);
});
