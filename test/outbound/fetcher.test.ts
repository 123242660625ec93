/** Fetches without a script: limits, connections, permitted addresses, and upstreams that send wrong messages. */
import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import type { LookupFunction, Socket } from 'node:net';
import { afterEach } from 'node:test';
import { parseConnectRules } from '../../src/base/connect-rules.ts';
import { GatewayError } from '../../src/base/errors.ts';
import { type Share, Shares } from '../../src/mapping/shares.ts';
import { Counters } from '../../src/metrics/worker-metrics.ts';
import { Agents } from '../../src/outbound/agents.ts';
import { ConnectPolicy } from '../../src/outbound/connect-policy.ts';
import type { Fetch, FetchResponse } from '../../src/outbound/fetch.ts';
import { type FetchRequest, type FetchTls, parseUrl } from '../../src/outbound/fetch-request.ts';
import { Fetcher, type FetchOwner } from '../../src/outbound/fetcher.ts';
import {
  CONNECTIONS_PER_ORIGIN_MAX,
  FETCHES_MAX,
  FETCHES_PER_INVOCATION_MAX,
  STRING_BODY_BYTES_MAX,
  TLS_VARIANTS_MAX,
} from '../../src/outbound/outbound-limits.ts';
import { calmTest as test } from '../support/calm.ts';
import * as upstreams from '../support/upstream.ts';

/** Objects that a test has to close, also after a failure. */
const open: { close(): void | Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function listening(starting: Promise<upstreams.Upstream>): Promise<upstreams.Upstream> {
  const upstream = await starting;
  open.push(upstream);
  return upstream;
}

const plainUpstream = (listener: RequestListener): Promise<upstreams.Upstream> =>
  listening(upstreams.plainUpstream(listener));
const rawUpstream = (accepted: (socket: Socket) => void): Promise<upstreams.Upstream> =>
  listening(upstreams.rawUpstream(accepted));

/** Makes a promise and returns it with its resolve function. */
function settable<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Longer than any machine needs. */
const LONG_MS = 60_000;
const TIMEOUTS = { connectMs: LONG_MS, headMs: LONG_MS, idleMs: LONG_MS, wholeMs: LONG_MS };

function requestOf(url: string, more: Partial<FetchRequest> = {}): FetchRequest {
  return {
    url: parseUrl(url),
    method: 'GET',
    fields: [],
    body: undefined,
    bodyLength: undefined,
    redirectsMax: undefined,
    timeouts: TIMEOUTS,
    tls: undefined,
    ...more,
  };
}

function policyOf(entry: string, lookup?: LookupFunction): ConnectPolicy {
  const rules = parseConnectRules([entry]);
  assert.ok(rules !== undefined);
  return new ConnectPolicy(rules, { lookup });
}

/** A running fetch: its result, and when all of it has ended. */
interface Asked {
  readonly fetch: Fetch;
  readonly answer: Promise<FetchResponse | GatewayError>;
  readonly released: Promise<void>;
}

class Scene {
  readonly counters = new Counters();
  readonly fetcher: Fetcher;
  readonly #shares: Shares;
  readonly share: Share;

  constructor(policy?: ConnectPolicy, fetchesMax = FETCHES_MAX) {
    this.fetcher = new Fetcher(this.counters, policy);
    open.unshift({ close: () => this.fetcher.stop() });
    const limits = {
      files: 1,
      processes: 1,
      fetches: fetchesMax,
      sockets: 1,
      tasks: 1,
      timers: 1,
      websockets: 1,
      subscriptions: 10,
      messageBytes: 10,
      storeCalls: 10,
    };
    this.#shares = new Shares({ limits, percent: 50 });
    this.share = this.#shares.of('/');
  }

  shareOf(name: string): Share {
    return this.#shares.of(name);
  }

  start(request: FetchRequest, owner: FetchOwner = { share: this.share, fetches: 0 }): Asked {
    const answer = settable<FetchResponse | GatewayError>();
    const released = settable<void>();
    const fetch = this.fetcher.start(request, owner, answer.resolve, released.resolve);
    return { fetch, answer: answer.promise, released: released.promise };
  }

  /** Resolves with the result in one line: status and body, and the error code if it failed. */
  async say(request: FetchRequest): Promise<string> {
    const { answer, released } = this.start(request);
    const result = await answer;
    if (result instanceof GatewayError) {
      await released;
      return result.code;
    }
    const { body } = result;
    let text = '';
    do {
      await new Promise<void>((ready) => body.request(1, ready));
      text += Buffer.from(body.queue.take(body.queue.length)).toString('latin1');
      body.consumed();
    } while (!body.ended || body.queue.length > 0);
    await released;
    return `${result.status} ${text}${body.error === undefined ? '' : ` ${body.error.code}`}`;
  }

  expectNothingLeft(): void {
    assert.equal(this.counters.get('fetches'), 0);
    assert.equal(this.share.used('fetches'), 0);
  }
}

const isLimit = (text: RegExp) => (error: unknown) =>
  error instanceof GatewayError &&
  error.code === 'LGW_FETCH_LIMIT' &&
  error.luaCode === 'limit' &&
  text.test(error.message);

/** Makes a server that never answers. */
const silentUpstream = (): Promise<upstreams.Upstream> => rawUpstream((socket) => socket.resume());

// ---- limits ----------------------------------------------------------------------------------------------------------

test('One request has 64 fetches under way and no more; those that are cancelled answer nothing and leave nothing', async () => {
  const upstream = await silentUpstream();
  const scene = new Scene();
  const owner = { share: scene.share, fetches: 0 };
  const request = requestOf(upstream.url);
  const asked = Array.from({ length: FETCHES_PER_INVOCATION_MAX }, () => scene.start(request, owner));
  assert.throws(
    () => scene.start(request, owner),
    isLimit(/^Cannot fetch: 64 fetches are under way by this request and the limit is 64$/),
  );
  const other = scene.start(request);
  assert.equal(scene.counters.get('fetches'), FETCHES_PER_INVOCATION_MAX + 1);
  let answers = 0;
  for (const { fetch, answer } of [...asked, other]) {
    void answer.then(() => (answers += 1));
    fetch.cancel();
    fetch.cancel();
  }
  await Promise.all([...asked, other].map(({ released }) => released));
  assert.deepEqual([answers, owner.fetches], [0, 0]);
  scene.expectNothingLeft();
});

test('A mapping has the fetches of its share, and a refused one takes nothing', async () => {
  const upstream = await silentUpstream();
  const scene = new Scene(undefined, 2);
  const asked = [scene.start(requestOf(upstream.url)), scene.start(requestOf(upstream.url))];
  assert.throws(
    () => scene.start(requestOf(upstream.url)),
    isLimit(/^Cannot fetch: 2 fetches are under way and the limit is 2$/),
  );
  for (const { fetch } of asked) fetch.cancel();
  await Promise.all(asked.map(({ released }) => released));
  scene.expectNothingLeft();
});

test('The strings that fetches of a worker send have 128 MiB together, and one byte more is refused', async () => {
  const upstream = await silentUpstream();
  const scene = new Scene();
  const send = (bytes: number): Asked =>
    scene.start(requestOf(upstream.url, { method: 'PUT', body: new Uint8Array(bytes) }));
  // cancelled before it has a connection, so that nothing of it is sent
  const first = send(STRING_BODY_BYTES_MAX - 10);
  const second = send(10);
  assert.throws(() => send(1), isLimit(/would have 134217729 bytes and the limit is 134217728: give a file/));
  second.fetch.cancel();
  await second.released;
  const third = send(10);
  assert.throws(() => send(1), isLimit(/134217729/));
  for (const { fetch } of [first, third]) fetch.cancel();
  await Promise.all([first.released, third.released]);
  scene.expectNothingLeft();
});

// ---- connections -----------------------------------------------------------------------------------------------------

test('A mapping has 128 connections to an upstream; further fetches wait for one, and those of other mappings do not', async () => {
  const waiting: (() => boolean)[] = [];
  const all = settable<void>();
  const upstream = await rawUpstream((socket) =>
    socket.on('data', (data) => {
      const answer = (): boolean => socket.write('HTTP/1.1 204 No Content\r\n\r\n');
      if (data.includes('/other')) answer();
      else waiting.push(answer);
      if (waiting.length === CONNECTIONS_PER_ORIGIN_MAX) all.resolve();
    }),
  );
  const scene = new Scene();
  const asked = Array.from({ length: CONNECTIONS_PER_ORIGIN_MAX + 1 }, () =>
    scene.start(requestOf(`${upstream.url}/one`)),
  );
  await all.promise;
  const other = scene.start(requestOf(`${upstream.url}/other`), {
    share: scene.shareOf('/other'),
    fetches: 0,
  });
  await other.released;
  assert.equal(waiting.length, CONNECTIONS_PER_ORIGIN_MAX);
  assert.equal(upstream.connections(), CONNECTIONS_PER_ORIGIN_MAX + 1);
  // the last fetch gets the connection that the first one frees
  for (const answer of waiting) answer();
  await Promise.race(asked.map(({ released }) => released));
  const last = asked.at(-1) as Asked;
  while (waiting.length === CONNECTIONS_PER_ORIGIN_MAX) await new Promise(setImmediate);
  waiting.at(-1)?.();
  await last.released;
  assert.equal(upstream.connections(), CONNECTIONS_PER_ORIGIN_MAX + 1);
  await Promise.all(asked.map(({ released }) => released));
  scene.expectNothingLeft();
});

test('TLS options that are the same share connections, and the set that was unused for longest makes room', async () => {
  const agents = new Agents(policyOf('all'));
  assert.equal(agents.get(undefined), undefined);
  await agents.load();
  const tls = (servername: string): FetchTls => ({
    verify: true,
    ca: undefined,
    cert: undefined,
    key: undefined,
    servername,
  });
  const plain = agents.get(undefined);
  const made = Array.from({ length: TLS_VARIANTS_MAX - 1 }, (_, i) => agents.get(tls(`a${i}`)));
  assert.equal(new Set([plain, ...made]).size, TLS_VARIANTS_MAX);
  // the first one is used again, so the second one is the oldest
  assert.equal(agents.get(tls('a0')), made[0]);
  assert.notEqual(agents.get({ ...tls('a0'), verify: false }), made[0]);
  assert.equal(agents.get(tls('a0')), made[0]);
  assert.notEqual(agents.get(tls('a1')), made[1]);
  assert.equal(agents.get(undefined), plain);
  agents.stop();
});

test('A fetcher that stops ends the fetches under way, and those that come later', async () => {
  const requested = settable<void>();
  const upstream = await rawUpstream((socket) => socket.once('data', () => requested.resolve()));
  const scene = new Scene();
  const request = requestOf(upstream.url, { method: 'POST' });
  const { answer, released } = scene.start(request);
  await requested.promise;
  scene.fetcher.stop();
  const error = await answer;
  assert.ok(error instanceof GatewayError && error.code === 'LGW_FETCH_CLOSED', String(error));
  await released;
  assert.equal(await scene.say(request), 'LGW_FETCH_CLOSED');
  scene.expectNothingLeft();
});

// ---- addresses -------------------------------------------------------------------------------------------------------

test('Of the addresses of a name only those are connected to that are allowed', async () => {
  const upstream = await plainUpstream((_, response) => response.end('here'));
  let addresses: readonly string[] = [];
  let lookups = 0;
  const lookup: LookupFunction = (_name, _options, callback) => {
    lookups += 1;
    callback(
      null,
      addresses.map((address) => ({ address, family: 4 })),
    );
  };
  const scene = new Scene(policyOf(`127.0.0.1:${upstream.port}`, lookup));
  const request = requestOf(`http://name.example:${upstream.port}/`);
  addresses = ['10.0.0.1', '192.168.7.7'];
  const { answer } = scene.start(request);
  const error = await answer;
  assert.ok(error instanceof GatewayError && error.code === 'LGW_FETCH_DENIED', String(error));
  // the address behind a name may be a secret
  assert.doesNotMatch(error.message, /10\.0\.0\.1|192\.168/);
  assert.deepEqual([lookups, upstream.connections()], [1, 0]);
  // a refusal without a lookup comes in a later tick, and not at all when the fetch is cancelled before
  const cancelled = scene.start(requestOf('http://[::1]:1/'));
  void cancelled.answer.then(() => assert.fail('a fetch that was cancelled is not answered'));
  cancelled.fetch.cancel();
  await cancelled.released;
  addresses = ['10.0.0.1', '127.0.0.1'];
  assert.equal(await scene.say(request), '200 here');
  // another port of the same address is another destination, which is refused before a lookup
  assert.equal(await scene.say(requestOf('http://name.example:1/')), 'LGW_FETCH_DENIED');
  assert.equal(await scene.say(requestOf('http://[::1]:1/')), 'LGW_FETCH_DENIED');
  assert.equal(lookups, 2);
  scene.expectNothingLeft();
});

test('A redirect goes nowhere where a fetch may not go', async () => {
  let other = 0;
  const secret = await plainUpstream((_, response) => {
    other += 1;
    response.end('secret');
  });
  const upstream = await plainUpstream((_, response) =>
    response.writeHead(302, { location: `${secret.url}/` }).end(),
  );
  const scene = new Scene(policyOf(`127.0.0.1:${upstream.port}`));
  assert.equal(await scene.say(requestOf(upstream.url, { redirectsMax: 5 })), 'LGW_FETCH_DENIED');
  assert.equal(other, 0);
  scene.expectNothingLeft();
});

test('A fetch whose name is never resolved ends in time, and counts until the resolver has let go', async () => {
  const asked = settable<() => void>();
  const lookup: LookupFunction = (_name, _options, callback) => {
    asked.resolve(() => callback(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), ''));
  };
  const scene = new Scene(policyOf('public', lookup));
  const timeouts = { ...TIMEOUTS, connectMs: 1 };
  const { answer, released } = scene.start(requestOf('http://name.example/', { timeouts }));
  const error = await answer;
  assert.ok(error instanceof GatewayError);
  assert.match(error.message, /^Cannot fetch "http:\/\/name\.example\/": no connection after 0\.001 s$/);
  // undici may not be loaded by then, in which case no lookup happens
  const resolver = await Promise.race([asked.promise, released]);
  if (resolver !== undefined) {
    assert.equal(scene.counters.get('fetches'), 1);
    resolver();
    await released;
  }
  scene.expectNothingLeft();
});

// upstreams with wrong messages ------------------------------------------------------------------------------------

const OK = 'HTTP/1.1 200 OK\r\n';
/** Bytes that an upstream sends, and the result. A final `+`: the upstream then closes the connection. */
const LIES: Readonly<Record<string, readonly [sent: string, result: string]>> = {
  'a length longer than the body': [`${OK}content-length: 9\r\n\r\nabc+`, '200 abc LGW_FETCH_CLOSED'],
  'a length shorter than the body': [`${OK}content-length: 2\r\n\r\nabcdef`, '200 ab'],
  'two responses to one request': [
    `${OK}content-length: 2\r\n\r\nab${OK}content-length: 5\r\n\r\nwrong`,
    '200 ab',
  ],
  'a length below zero': [`${OK}content-length: -3\r\n\r\nabc`, 'LGW_FETCH_INVALID'],
  'two lengths': [`${OK}content-length: 2\r\ncontent-length: 3\r\n\r\nabc`, 'LGW_FETCH_CLOSED'],
  'a length and chunks': [
    `${OK}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
    'LGW_FETCH_CLOSED',
  ],
  'a chunk without a size': [`${OK}transfer-encoding: chunked\r\n\r\nxyz\r\n`, '200  LGW_FETCH_INVALID'],
  'a chunk of 2^68 bytes': [
    `${OK}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n`,
    '200  LGW_FETCH_INVALID',
  ],
  'a chunk that is longer than its size': [
    `${OK}transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n`,
    '200 abc LGW_FETCH_INVALID',
  ],
  'chunks without an end': [
    `${OK}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n+`,
    '200 abc LGW_FETCH_CLOSED',
  ],
  'trailers without an end': [
    `${OK}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: ${'x'.repeat(70_000)}`,
    '200 abc LGW_FETCH_LIMIT',
  ],
  'a head without an end': [`${OK}x: ${'x'.repeat(70_000)}`, 'LGW_FETCH_LIMIT'],
  'a head that is cut': [`${OK}x: +`, 'LGW_FETCH_CLOSED'],
  'nothing at all': ['+', 'LGW_FETCH_CLOSED'],
  'no HTTP': ['hello\r\n\r\n', 'LGW_FETCH_INVALID'],
  'a NUL in a value': [`${OK}x: a\0b\r\n\r\n`, 'LGW_FETCH_INVALID'],
  'a folded value': [`${OK}x: a\r\n b\r\n\r\n`, 'LGW_FETCH_INVALID'],
  'a blank before the colon': [`${OK}x : a\r\n\r\n`, 'LGW_FETCH_INVALID'],
  'lines that end with LF': ['HTTP/1.1 200 OK\ncontent-length: 0\n\n', 'LGW_FETCH_INVALID'],
  'a status of two digits': ['HTTP/1.1 99 OK\r\n\r\n', 'LGW_FETCH_INVALID'],
  'a status below 100': [`HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n`, 'LGW_FETCH_INVALID'],
  'a protocol that nobody asked for': [
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nabc',
    'LGW_FETCH_CLOSED',
  ],
  'content of a 204': ['HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nwrong', '204 '],
};

test('An upstream that lies harms its own answer only, and never the one to the next request', async () => {
  const upstream = await rawUpstream((socket: Socket) =>
    socket.on('data', (data) => {
      const [, name] = data.toString('latin1').split(' ', 2);
      const lie = LIES[decodeURIComponent((name as string).slice(1))]?.[0];
      const sent = lie ?? `${OK}content-length: 4\r\n\r\nnext`;
      socket.write(sent.replace(/\+$/, ''), 'latin1');
      if (sent.endsWith('+')) socket.end();
    }),
  );
  const scene = new Scene();
  const results: string[] = [];
  for (const name of Object.keys(LIES)) {
    results.push(`${name}: ${await scene.say(requestOf(`${upstream.url}/${encodeURIComponent(name)}`))}`);
    assert.equal(await scene.say(requestOf(`${upstream.url}/next`)), '200 next', `behind ${name}`);
  }
  assert.deepEqual(
    results,
    Object.entries(LIES).map(([name, [, result]]) => `${name}: ${result}`),
  );
  scene.expectNothingLeft();
});

test('An upstream that stops in the midst of head or body is a timeout that says which', async () => {
  const upstream = await rawUpstream((socket) =>
    socket.on('data', (data) =>
      socket.write(data.includes('/head') ? `${OK}x:` : `${OK}content-length: 9\r\n\r\nabc`),
    ),
  );
  const scene = new Scene();
  const head = scene.start(requestOf(`${upstream.url}/head`, { timeouts: { ...TIMEOUTS, headMs: 20 } }));
  const error = await head.answer;
  assert.ok(error instanceof GatewayError && error.code === 'LGW_FETCH_TIMEOUT');
  assert.match(error.message, /: no response after 0\.02 s$/);
  const body = await scene.start(requestOf(`${upstream.url}/body`, { timeouts: { ...TIMEOUTS, idleMs: 20 } }))
    .answer;
  assert.ok(!(body instanceof GatewayError));
  await new Promise<void>((ready) => body.body.request(9, ready));
  assert.match(body.body.error?.message ?? '', /: the response has stalled for 0\.02 s$/);
  assert.equal(body.body.queue.length, 3);
  scene.expectNothingLeft();
});
