/** What servers refuse in mid-session, and TLS that does not fit: which code a script gets, and when it is asked again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { command } from '../../src/store/resp-command.ts';
import { testCertificate } from '../support/certificate.ts';
import { freePorts } from '../support/free-ports.ts';
import { RedisProcess } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { refusalOf, TestStore } from '../support/test-store.ts';

/** Of each command: the name, where it stands first. */
const COMMAND = /\*\d+\r\n\$\d+\r\n(HELLO|CLIENT|CLUSTER|ASKING|PING|GETRANGE)\r\n/g;

/** A server of one master that answers reads by this list. `asked`: what it was asked, in order. */
class ScriptedServer {
  readonly asked: string[] = [];
  readonly replies: string[] = [];
  readonly #mode: 'standalone' | 'cluster';
  readonly #server: Server;

  constructor(mode: 'standalone' | 'cluster') {
    this.#mode = mode;
    this.#server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.setEncoding('latin1').on('data', (text: string) => {
        for (const [, name = ''] of text.matchAll(COMMAND)) {
          this.asked.push(name);
          socket.write(this.#answer(name));
        }
      });
    });
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `redis://127.0.0.1:${this.port}${this.#mode === 'cluster' ? ',' : ''}`;
  }

  close(): void {
    this.#server.close();
  }

  #answer(name: string): string {
    switch (name) {
      case 'HELLO':
        return `%3\r\n+server\r\n+redis\r\n+mode\r\n+${this.#mode}\r\n+role\r\n+master\r\n`;
      case 'CLUSTER':
        return `*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n+127.0.0.1\r\n:${this.port}\r\n+id\r\n`;
      case 'GETRANGE':
        return `${this.replies.shift() ?? '$6\r\nsvalue'}\r\n`;
      default:
        return '+OK\r\n';
    }
  }
}

async function withServer(
  mode: 'standalone' | 'cluster',
  run: (server: ScriptedServer, store: TestStore) => Promise<void>,
): Promise<void> {
  const server = new ScriptedServer(mode);
  await server.listen();
  const store = new TestStore(server.address);
  try {
    await run(server, store);
  } finally {
    store.close();
    server.close();
  }
}

const CODES: Readonly<Record<string, string>> = {
  LOADING: 'refused',
  MASTERDOWN: 'refused',
  CLUSTERDOWN: 'refused',
  TRYAGAIN: 'refused',
  MISCONF: 'refused',
  NOREPLICAS: 'refused',
  BUSY: 'refused',
  OOM: 'limit',
  NOPERM: 'denied',
  NOAUTH: 'denied',
  WRONGTYPE: 'invalid',
  ERR: 'io',
  // its connection is opened again
  READONLY: 'refused',
};

test('Each refusal of a server has its code, and the next call is asked as before', async () => {
  await withServer('standalone', async ({ replies }, store) => {
    const dictionary = store.dictionary('d');
    for (const [word, code] of Object.entries(CODES)) {
      replies.push(`-${word} as the server says`);
      const pattern = new RegExp(`^${code}: Store redis:\\S+ says: ${word} as the server says$`);
      assert.match(await refusalOf(dictionary.get('a')), pattern);
      await eventually(async () =>
        assert.match(await refusalOf(dictionary.get('a')), /no refusal but value/),
      );
    }
  });
});

test('A cluster that is busy with a slot is asked again, after ASK behind ASKING, and one that is down refuses', async () => {
  await withServer('cluster', async (server, store) => {
    const { asked, replies, port } = server;
    const dictionary = store.dictionary('d');
    assert.equal(await dictionary.get('a'), 'value');
    asked.length = 0;
    replies.push('-TRYAGAIN multiple keys', '-TRYAGAIN multiple keys', `-ASK 1 127.0.0.1:${port}`);
    assert.equal(await dictionary.get('a'), 'value');
    const steps = asked.filter((name) => name === 'GETRANGE' || name === 'ASKING');
    assert.deepEqual(steps, ['GETRANGE', 'GETRANGE', 'GETRANGE', 'ASKING', 'GETRANGE']);
    replies.push(`-MOVED 1 127.0.0.1:${port}`);
    assert.equal(await dictionary.get('a'), 'value');
    replies.push('-CLUSTERDOWN the cluster is down');
    assert.match(await refusalOf(dictionary.get('a')), /^refused: .*CLUSTERDOWN/);
    assert.equal(await dictionary.get('a'), 'value');
    // redirections without an end
    replies.push(...Array.from({ length: 50 }, () => `-MOVED 1 127.0.0.1:${port}`));
    assert.match(await refusalOf(dictionary.get('a')), /^(refused|io): /);
    assert.ok(replies.length > 30);
  });
});

test('Redis that loads its data in mid-session refuses, and answers when it has them', async () => {
  const words = ['--enable-debug-command', 'yes', '--key-load-delay', '5000'];
  const redis = await RedisProcess.start([...words, '--loading-process-events-interval-bytes', '1024']);
  const [store, operator] = [new TestStore(redis.address), new TestStore(redis.address)];
  const dictionary = store.dictionary('d');
  await dictionary.store('set', 'a', 'skept');
  // two seconds
  redis.cli('eval', "for i = 1, 400 do redis.call('set', 'k' .. i, ('x'):rep(100)) end", '0');
  let isRefused = false;
  // a process that stands still for so long has missed it, and looks at the next one
  for (let tries = 0; tries < 20 && !isRefused; tries++) {
    let isLoading = true;
    operator.client.call('', command('DEBUG', 'RELOAD'), 60_000, () => {
      isLoading = false;
    });
    while (isLoading) {
      const outcome = await refusalOf(dictionary.get('a'));
      isRefused ||= /^refused: .*LOADING/.test(outcome);
    }
  }
  assert.ok(isRefused);
  // the connection may have been lost meanwhile
  await eventually(async () => assert.equal(await dictionary.get('a'), 'kept'));
  for (const one of [store, operator]) one.close();
  await redis.stop();
});

test('TLS that does not fit is told of in plain words, and a store with TLS is served', async () => {
  const [tlsPort = 0] = await freePorts(1);
  const { cert, certPath, keyPath } = testCertificate();
  const tls = ['--tls-cert-file', certPath, '--tls-key-file', keyPath, '--tls-auth-clients', 'no'];
  const redis = await RedisProcess.start(['--tls-port', String(tlsPort), ...tls]);
  const told = async (address: string, pattern: RegExp): Promise<void> => {
    const store = new TestStore(address);
    await store.until(pattern);
    assert.match(await refusalOf(store.dictionary('d').get('a')), /^refused: /);
    store.close();
  };
  const store = new TestStore(`rediss://localhost:${tlsPort}`, cert);
  const dictionary = store.dictionary('d');
  assert.equal(await dictionary.incr('n', 1n, 5n), 6n);
  const long = 'x'.repeat(300_000);
  await dictionary.store('set', 'a', `s${long}`);
  assert.equal(await dictionary.get('a'), long);
  store.close();
  await Promise.all([
    told(
      `rediss://localhost:${tlsPort}`,
      /^away .*its certificate comes from nobody who is trusted .*--store-ca/,
    ),
    told(`rediss://localhost:${redis.port}`, /^away .*a server without TLS wants redis:/),
    told(`redis://localhost:${tlsPort}`, /^away .*a server with TLS wants rediss:/),
  ]);
  await redis.stop();
});
