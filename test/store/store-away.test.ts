/** A store that is away, lies, freezes or moves keys: nothing hangs, nothing wrong is read, and it is found again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { BROKEN_WAIT_MS } from '../../src/store/store-limits.ts';
import { freePorts } from '../support/free-ports.ts';
import { RedisProcess } from '../support/redis-process.ts';
import { refusalOf, TestStore } from '../support/test-store.ts';

let redis: RedisProcess;
before(async () => {
  redis = await RedisProcess.start();
});
after(() => redis?.stop());

/** Runs with a store of its own. */
async function withStore(address: string, run: (store: TestStore) => Promise<void>): Promise<void> {
  const store = new TestStore(address);
  try {
    await run(store);
  } finally {
    store.close();
  }
}

/** As `withStore`, with a store that is there: a busy one may be slow to greet. */
async function withServer(address: string, run: (store: TestStore) => Promise<void>): Promise<void> {
  await withStore(address, async (store) => {
    await store.until(/^available/);
    await run(store);
  });
}

test('Nobody listens: calls are refused, and answered as soon as somebody does', async () => {
  const other = await RedisProcess.start();
  await other.kill();
  await withStore(other.address, async (store) => {
    await store.until(/^away .*the connection was refused/);
    const began = performance.now();
    assert.match(
      await refusalOf(store.dictionary('d').incr('n')),
      /^refused: Store redis:\S+ does not answer: .*refused/,
    );
    assert.ok(
      performance.now() - began >= BROKEN_WAIT_MS - 1,
      'a call waits a moment for the store to come back',
    );
    await other.restart();
    await store.until(/^available redis/);
    assert.equal(await store.dictionary('d').incr('n', 1n, 0n), 1n);
  });
  await other.stop();
});

test('A killed server: a call under way has no answer, later ones are refused, and the store is found again', async () => {
  const other = await RedisProcess.start();
  await withServer(other.address, async (store) => {
    const dictionary = store.dictionary('d');
    await dictionary.store('set', 'a', 's1');
    const told = store.told.length;
    await other.freeze();
    const call = refusalOf(dictionary.incr('n', 1n, 0n));
    await other.kill();
    assert.match(await call, /^timeout: .*the step may have been done/);
    await store.until(/^away/, told);
    assert.match(await refusalOf(dictionary.get('a')), /^refused/);
    await other.restart();
    await store.until(/^available/, told);
    assert.equal(await dictionary.get('a'), undefined);
  });
  await other.stop();
});

test('A frozen server: a call ends with its time, the connection is given up, and thawing finds it again', async () => {
  await withServer(redis.address, async (store) => {
    const dictionary = store.dictionary('frozen', { timeoutMs: 200 });
    const told = store.told.length;
    await redis.freeze();
    try {
      const began = performance.now();
      assert.match(await refusalOf(dictionary.incr('n')), /^timeout: .*within 200 ms/);
      assert.ok(performance.now() - began >= 199);
      await store.until(/^away .*(silent|does not answer)/, told);
    } finally {
      redis.thaw();
    }
    await store.until(/^available/, told);
    const patient = store.dictionary('frozen');
    assert.equal(await patient.incr('n', 1n, 0n), 1n);
    await patient.flush();
  });
});

test('A connection that somebody ends is opened again', async () => {
  await withServer(redis.address, async (store) => {
    const dictionary = store.dictionary('ended', { near: true });
    await dictionary.store('set', 'a', 's1');
    assert.equal(await dictionary.get('a'), '1');
    const told = store.told.length;
    redis.cli('client', 'kill', 'type', 'normal');
    await store.until(/^invalidated/, told);
    await store.until(/^available/, told);
    assert.equal(await dictionary.get('a'), '1');
  });
});

test('What somebody else changes, removes or flushes is not served from near any more', async () => {
  await withServer(redis.address, async (store) => {
    const dictionary = store.dictionary('near', { near: true });
    for (const change of [
      ['set', 'lg:near:a', 'sother'],
      ['del', 'lg:near:a'],
      ['flushall'],
      ['pexpire', 'lg:near:a', '1'],
    ]) {
      await dictionary.store('set', 'a', 'sown');
      assert.equal(await dictionary.get('a'), 'own');
      assert.equal(dictionary.dictionary.peek('a'), 'own');
      const told = store.told.length;
      redis.cli(...change);
      await store.until(/^invalidated/, told);
      assert.equal(dictionary.dictionary.peek('a'), undefined, change.join(' '));
    }
  });
});

test('A value near is not served beyond its time', async () => {
  await withServer(redis.address, async (store) => {
    const dictionary = store.dictionary('short', { near: true });
    await dictionary.store('set', 'a', 's1', 50);
    while ((await dictionary.get('a')) !== undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(dictionary.dictionary.peek('a'), undefined);
  });
});

test('Old values are read while the store is away, where that is wanted, and only there', async () => {
  const other = await RedisProcess.start();
  await withServer(other.address, async (store) => {
    const stale = store.dictionary('d', { stale: true });
    await stale.store('set', 'a', 's1');
    assert.equal(await stale.get('a'), '1');
    const told = store.told.length;
    await other.kill();
    await store.until(/^away/, told);
    assert.equal(await stale.get('a'), '1');
    assert.match(await refusalOf(stale.get('b')), /^refused/);
    assert.match(await refusalOf(store.dictionary('d', { near: true }).get('a')), /^refused/);
    assert.match(await refusalOf(stale.incr('a')), /^refused/);
  });
  await other.stop();
});

test('More calls than may wait, and a store that is closed', async () => {
  const [port = 0] = await freePorts(1);
  const store = new TestStore(`redis://127.0.0.1:${port}`);
  const dictionary = store.dictionary('d');
  const calls = Array.from({ length: 5000 }, () => refusalOf(dictionary.get('a')));
  const large = Array.from({ length: 20 }, () =>
    refusalOf(dictionary.store('set', 'a', Buffer.alloc(4 * 1024 * 1024 - 10))),
  );
  const ended = Promise.all([...calls, ...large]);
  store.close();
  const outcomes = await ended;
  assert.equal(
    outcomes.filter((text) => /^limit: .*4096 calls wait and the limit is 4096/.test(text)).length,
    5000 - 4096 + 20,
  );
  assert.equal(outcomes.filter((text) => /^closed: /.test(text)).length, 4096);
  assert.match(await refusalOf(dictionary.get('a')), /^closed/);
});

test('A value, a foreign entry and a reply outside the limits', async () => {
  await withServer(redis.address, async (store) => {
    const dictionary = store.dictionary('odd');
    assert.match(
      await refusalOf(dictionary.store('set', 'a', Buffer.alloc(4 * 1024 * 1024 + 1))),
      /^limit: .*4194305 bytes/,
    );
    redis.cli('set', 'lg:odd:text', 'hello');
    redis.cli('lpush', 'lg:odd:list', '1');
    redis.cli('eval', "redis.call('set', KEYS[1], 's' .. string.rep('x', 9000000))", '1', 'lg:odd:huge');
    assert.match(await refusalOf(dictionary.get('text')), /^invalid: .*not written by a dictionary/);
    assert.match(await refusalOf(dictionary.get('list')), /^invalid: .*WRONGTYPE/);
    assert.match(await refusalOf(dictionary.incr('list')), /^invalid: .*WRONGTYPE/);
    assert.match(await refusalOf(dictionary.get('huge')), /^limit: /);
    assert.ok(store.failures >= 2);
    await dictionary.flush();
    assert.deepEqual(await dictionary.keys(), []);
  });
});

/** A server that says what it is told to. */
async function serverThat(
  answer: (socket: Socket) => void,
): Promise<{ readonly server: Server; readonly address: string }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    answer(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, address: `redis://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const GREETING = '%3\r\n+server\r\n+redis\r\n+mode\r\n+standalone\r\n+role\r\n+master\r\n';

const ODD: readonly (readonly [name: string, answer: (socket: Socket) => void, told: RegExp])[] = [
  [
    'one that speaks HTTP',
    (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
    /^away for good .*speaks no RESP/,
  ],
  ['one that closes', (socket) => socket.end(), /^away .*without a greeting; a server with TLS wants rediss/],
  [
    'one that is too old',
    (socket) => socket.write("-ERR unknown command 'HELLO'\r\n"),
    /^away for good .*older than Redis 6/,
  ],
  [
    'one that wants a password',
    (socket) => socket.write('-NOAUTH HELLO must be called with the client already authenticated\r\n'),
    /^away for good .*wants a password/,
  ],
  [
    'one that is loading',
    (socket) => socket.write('-LOADING Redis is loading the dataset in memory\r\n'),
    /^away .*LOADING/,
  ],
  [
    'a replica',
    (socket) => socket.write(`${GREETING.replace('master', 'replica')}+OK\r\n`),
    /^away .*replica/,
  ],
  [
    'a node of a cluster',
    (socket) => socket.write(`${GREETING.replace('standalone', 'cluster')}+OK\r\n`),
    /^away for good .*comma/,
  ],
  [
    'a sentinel',
    (socket) => socket.write(`${GREETING.replace('standalone', 'sentinel')}+OK\r\n`),
    /^away for good .*redis\+sentinel/,
  ],
  [
    'one that answers too much',
    (socket) => socket.write(`${GREETING}+OK\r\n+OK\r\n`),
    /^away .*without being asked/,
  ],
];

for (const [name, answer, told] of ODD) {
  test(`${name} is told of in plain words`, async () => {
    const { server, address } = await serverThat(answer);
    await withStore(address, async (store) => {
      await store.until(told);
      assert.match(await refusalOf(store.dictionary('d').get('a')), /^(refused|timeout|invalid): /);
    });
    server.close();
  });
}

test('Wrong passwords, users without rights and databases that are not there', async () => {
  const other = await RedisProcess.start(['--requirepass', 'secret', '--databases', '2']);
  const host = `127.0.0.1:${other.port}`;
  await withStore(`redis://${host}`, async (store) => {
    await store.until(/^away for good .*wants a password/);
  });
  await withStore(`redis://:wrong@${host}`, async (store) => {
    const told = await store.until(/^away for good .*refuses this user and password/);
    assert.ok(!told.includes('wrong'));
  });
  await withStore(`redis://:secret@${host}/5`, async (store) => {
    await store.until(/^away for good .*no database 5/);
  });
  other.cli(
    '-a',
    'secret',
    'acl',
    'setuser',
    'ann',
    'on',
    '>pass',
    '~lg:*',
    '+@all',
    '-function',
    '-fcall',
    '-client|tracking',
    '-flushall',
  );
  await withStore(`redis://ann:pass@${host}/1`, async (store) => {
    await store.until(/^untracked/);
    const dictionary = store.dictionary('d', { near: true });
    // scripts stand in for functions
    assert.equal(await dictionary.incr('n', 1n, 5n), 6n);
    assert.equal(await dictionary.get('n'), 6n);
    assert.equal(dictionary.dictionary.peek('n'), undefined);
  });
  other.cli('-a', 'secret', 'acl', 'setuser', 'bob', 'on', '>pass', '~other:*', '+@all');
  await withServer(`redis://bob:pass@${host}`, async (store) => {
    assert.match(await refusalOf(store.dictionary('d').get('a')), /^denied: .*NOPERM/);
  });
  await other.stop();
});

test('Steps are functions of the server, one library for each version of their text', async () => {
  const other = await RedisProcess.start();
  await withServer(other.address, async (store) => {
    const dictionary = store.dictionary('d');
    await Promise.all([dictionary.incr('n', 1n, 0n), dictionary.incr('n', 1n, 0n)]);
    assert.match(
      other.cli('function', 'list'),
      /lgateway_[0-9a-f]{12}[\s\S]*lgateway_(incr|expire)_[0-9a-f]{12}/,
    );
    assert.match(other.cli('info', 'commandstats'), /cmdstat_fcall:/);
    assert.doesNotMatch(other.cli('info', 'commandstats'), /cmdstat_eval/);
    // the operator has emptied it
    other.cli('function', 'flush');
    assert.equal(await dictionary.incr('n'), 3n);
  });
  await other.stop();
});

test('A full server, and one that takes no changes', async () => {
  const other = await RedisProcess.start(['--maxmemory', '2mb', '--maxmemory-policy', 'noeviction']);
  await withServer(other.address, async (store) => {
    const dictionary = store.dictionary('d');
    let outcome = '';
    for (let i = 0; i < 100 && !outcome.startsWith('limit'); i++)
      outcome = await refusalOf(dictionary.store('set', `k${i}`, Buffer.alloc(100_000, 's')));
    assert.match(outcome, /^limit: .*OOM/);
    assert.equal(await dictionary.get('nothing'), undefined);
    other.cli('replicaof', '127.0.0.1', '1');
    assert.match(await refusalOf(dictionary.incr('n', 1n, 0n)), /^refused: .*READONLY/);
    await store.until(/^away .*replica/);
    other.cli('replicaof', 'no', 'one');
    await store.until(
      /^available/,
      store.told.findIndex((text) => /^away .*replica/.test(text)),
    );
  });
  await other.stop();
});
