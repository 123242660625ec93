/** Which requests are sent a second time, where to, and how often: only what a server cannot have done twice. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, type TestContext } from 'node:test';
import { DEFAULT_PROXY_RULES } from '../../src/mapping/proxy-settings.ts';
import { calmTest } from '../support/calm.ts';
import { connectH2, fetchH2 } from '../support/h2-client.ts';
import { type ProxyFront, startProxyFront } from '../support/proxy-front.ts';
import { type RecordingBackend, recordingBackend } from '../support/recording-backend.ts';
import { deadPort } from '../support/upstream.ts';

type Session = Awaited<ReturnType<typeof connectH2>>;
type Answering = (socket: Socket) => void;

const answers: Answering = (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
const closes: Answering = (socket) => socket.destroy();
const silent: Answering = () => undefined;
/** A part of an answer has come. */
const begins: Answering = (socket) => {
  socket.write('HTTP/1.1 200 OK\r\nContent-', () => socket.destroy());
};

interface Server extends RecordingBackend {
  does: Answering;
  /** Methods of the requests that have begun to arrive in this test, with their bodies or not. */
  seen: string[];
}

const COUNT = 4;
const servers: Server[] = [];
let front: ProxyFront;
let session: Session;
let dead: string;

async function startServer(): Promise<Server> {
  const state: { does: Answering; seen: string[] } = { does: answers, seen: [] };
  const backend = await recordingBackend(() => undefined, {
    begun: (head, socket) => {
      state.seen.push(head.slice(0, head.indexOf(' ')));
      state.does(socket);
    },
  });
  return Object.assign(state, backend);
}

before(async () => {
  front = await startProxyFront();
  session = await connectH2(front.port);
  for (let i = 0; i < COUNT; i++) servers.push(await startServer());
  dead = `http://127.0.0.1:${await deadPort()}`;
});

after(async () => {
  session.destroy();
  for (const server of servers) await server.close();
  await front.stop();
});

/** Each attempt begins with servers that answer. */
function test(name: string, body: (t: TestContext) => Promise<void>): void {
  calmTest(name, async (t) => {
    for (const server of servers) {
      server.does = answers;
      server.seen = [];
    }
    await body(t);
  });
}

const urls = (...indexes: readonly number[]): string[] => indexes.map((i) => (servers[i] as Server).url);
const seen = (): readonly string[] => servers.map((server) => server.seen.join());
const ask = async (method: string, body?: Buffer): Promise<number> =>
  (await fetchH2(session, { ':path': '/', ':method': method }, body)).status;

const LARGE = Buffer.alloc(300_000, 'x');

interface Case {
  readonly method: string;
  readonly body?: Buffer;
  readonly does: Answering;
  /** The next server is asked. */
  readonly again: boolean;
}

const CASES: Readonly<Record<string, Case>> = {
  'GET, closed before an answer': { method: 'GET', does: closes, again: true },
  'HEAD, closed before an answer': { method: 'HEAD', does: closes, again: true },
  'OPTIONS, closed before an answer': { method: 'OPTIONS', does: closes, again: true },
  'TRACE, closed before an answer': { method: 'TRACE', does: closes, again: true },
  'DELETE, closed before an answer': { method: 'DELETE', does: closes, again: true },
  'PUT without a body, closed before an answer': { method: 'PUT', does: closes, again: true },
  'PUT with a small body, closed before an answer': {
    method: 'PUT',
    body: Buffer.from('x'),
    does: closes,
    again: false,
  },
  'PUT with a large body, closed before an answer': {
    method: 'PUT',
    body: LARGE,
    does: closes,
    again: false,
  },
  'POST without a body, closed before an answer': { method: 'POST', does: closes, again: false },
  'POST with a body, closed before an answer': { method: 'POST', body: LARGE, does: closes, again: false },
  'PATCH, closed before an answer': { method: 'PATCH', does: closes, again: false },
  'GET, closed within an answer': { method: 'GET', does: begins, again: false },
  'GET, no answer in time': { method: 'GET', does: silent, again: true },
  'POST, no answer in time': { method: 'POST', does: silent, again: false },
};

for (const [what, { method, body, does, again }] of Object.entries(CASES))
  test(`${what}: ${again ? 'the next server is asked' : 'no other server is asked'}`, async () => {
    const [first] = servers as [Server];
    first.does = does;
    const timeouts = { ...DEFAULT_PROXY_RULES.timeouts, ...(does === silent ? { headMs: 1000 } : {}) };
    front.passTo(urls(0, 1), { timeouts });
    const status = await ask(method, body);
    if (again) assert.equal(status, 200);
    else assert.equal(status, does === silent ? 504 : 502);
    // a connection that was kept by another test costs one more at the same server
    assert.ok(first.seen.length === 1 || (again && first.seen.length === 2), first.seen.join());
    assert.equal(servers[1]?.seen.join(), again ? method : '');
  });

test('Where nothing could be sent any request goes to the next server, with its whole body', async () => {
  front.passTo([dead, ...urls(0)]);
  const before = (servers[0] as Server).requests.length;
  assert.equal(await ask('POST', LARGE), 200);
  assert.deepEqual(seen(), ['POST', '', '', '']);
  await front.whenPassed();
  front.passTo([dead, ...urls(0)], { retries: 0 });
  assert.equal(await ask('POST'), 502);
  assert.ok((servers[0] as Server).requests.length <= before + 1);
});

for (const [retries, asked] of [
  [0, 1],
  [1, 2],
  [2, 3],
  [8, 4],
] as const)
  test(`With ${retries} further tries ${asked} of ${COUNT} servers are asked`, async () => {
    for (const server of servers) server.does = silent;
    front.passTo(urls(0, 1, 2, 3), { retries, timeouts: { ...DEFAULT_PROXY_RULES.timeouts, headMs: 400 } });
    assert.equal(await ask('GET'), 504);
    assert.deepEqual(
      seen(),
      servers.map((_server, i) => (i < asked ? 'GET' : '')),
    );
  });

test('A kept connection that its server closes when it is used again costs no try; one request has one such', async () => {
  const [first] = servers as [Server];
  front.passTo(urls(0, 1), { retries: 0 });
  // as long as nothing was idle there is nothing to be used again
  assert.equal(await ask('GET'), 200);
  const kept = first.connections();
  let closed = 0;
  first.does = (socket) => {
    closed += 1;
    if (closed === 1) socket.destroy();
    else answers(socket);
  };
  assert.equal(await ask('GET'), 200);
  assert.deepEqual([closed, first.connections(), servers[1]?.seen], [2, kept + 1, []]);
  // the fresh connection is closed, too: that is a failure of the server
  first.does = closes;
  first.seen = [];
  assert.equal(await ask('GET'), 502);
  assert.deepEqual([first.seen, servers[1]?.seen], [['GET', 'GET'], []]);
});

test('POST on a kept connection that its server closes is not sent again', async () => {
  const [first] = servers as [Server];
  front.passTo(urls(0, 1));
  assert.equal(await ask('GET'), 200);
  first.seen = [];
  first.does = closes;
  assert.equal(await ask('POST'), 502);
  assert.deepEqual([first.seen, servers[1]?.seen], [['POST'], []]);
});

test('All tries of a request have one deadline, behind which no server is asked', async () => {
  for (const server of servers) server.does = silent;
  const timeouts = { ...DEFAULT_PROXY_RULES.timeouts, headMs: 1000, totalMs: 1800 };
  front.passTo(urls(0, 1, 2, 3), { retries: 3, timeouts });
  const begun = performance.now();
  assert.equal(await ask('GET'), 504);
  // the loop counts in whole milliseconds
  assert.ok(performance.now() - begun > 1798);
  assert.deepEqual(seen(), ['GET', 'GET', '', '']);
  assert.match(front.messages.at(-1) ?? '', /no answer within 1800 ms of all tries together$/);
});

test('A body that is sent has its own time, also where that is longer than the time of all tries', async () => {
  const timeouts = { ...DEFAULT_PROXY_RULES.timeouts, totalMs: 1 };
  (servers[0] as Server).does = (socket) => void setTimeout(() => answers(socket), 300);
  front.passTo(urls(0), { timeouts });
  assert.equal(await ask('POST', LARGE), 200);
});
