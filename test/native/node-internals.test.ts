/**
 * The register of what Node does not promise: tests every entry on the running Node, and that no other file uses such things.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fstatSync, readdirSync, readFileSync } from 'node:fs';
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  createSecureServer,
  type ServerHttp2Session,
} from 'node:http2';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  connect as connectTls,
  createServer as createTlsServer,
  type SecureVersion,
  type TLSSocket,
  type Server as TlsServer,
} from 'node:tls';
import { cachedDataVersionTag } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import {
  asksForCertificate,
  beginWithYoungSpace,
  bodySourceOf,
  descriptorOf,
  lendState,
  NODE_INTERNALS,
  NODE_VERSIONS_TRIED,
  offerProtocols,
  readInto,
  readLatin1,
  readTicketsOf,
  SessionHolder,
  serverNameOf,
  socketBelow,
  startHandle,
  stopHandle,
  takeOwnListener,
  writeAtOnce,
  writeLatin1,
} from '../../src/native/node-internals.ts';
import { testCertificate } from '../support/certificate.ts';

const NODE_MAJOR = Number.parseInt(process.versions.node, 10);
/** First major version of Node with private state in Request and Response. */
const WEB_STATE_PRIVATE_SINCE = 24;

const ignore = (): void => undefined;

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Connects until the server ends, with a session where one is given. */
async function resume(
  port: number,
  version: SecureVersion,
  session: Buffer | undefined,
): Promise<{ readonly reused: boolean; readonly session: Buffer | undefined }> {
  const versions = { minVersion: version, maxVersion: version };
  const socket = connectTls({ port, rejectUnauthorized: false, ...versions, ...(session && { session }) });
  let ticket: Buffer | undefined;
  socket.on('session', (given: Buffer) => {
    ticket = given;
  });
  let reused = false;
  socket.on('secureConnect', () => {
    reused = socket.isSessionReused();
    // of TLS 1.2, where no event tells of a ticket that was renewed
    ticket = socket.getSession();
  });
  socket.resume();
  await once(socket, 'close');
  return { reused, session: ticket };
}

/** More than the buffers of a connection on loopback take. */
const LONG_TEXT = 16 * 1024 * 1024;

/** Resolves with the next so many bytes, as a byte string. */
async function textOf(socket: Socket, size: number): Promise<string> {
  let text = '';
  while (text.length < size) {
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    text += bytes.toString('latin1');
  }
  return text;
}

/** Connects two sockets without TLS, and closes both after `use`. */
async function withPair(use: (client: Socket, accepted: Socket) => Promise<void>): Promise<void> {
  const server = createServer();
  const port = await listen(server);
  const accepting = once(server, 'connection');
  const client = connect(port, '127.0.0.1').on('error', ignore);
  await once(client, 'connect');
  const [accepted] = (await accepting) as [Socket];
  accepted.on('error', ignore);
  try {
    await use(client, accepted);
  } finally {
    client.destroy();
    accepted.destroy();
    server.close();
    await once(server, 'close');
  }
}

const YOUNG_SPACE_TRIALS_MAX = 10;

/** Resolves with the number of minor collections of a new thread that makes short-lived objects of some 20 MB. */
async function countCollections(begun: (begin: () => Worker) => Worker): Promise<number> {
  const code = `
    const { parentPort } = require('node:worker_threads');
    const { PerformanceObserver, constants } = require('node:perf_hooks');
    let count = 0;
    const observer = new PerformanceObserver((list) => {
      count += list.getEntries().filter(({ detail }) => detail.kind === constants.NODE_PERFORMANCE_GC_MINOR).length;
    });
    observer.observe({ entryTypes: ['gc'] });
    const kept = [];
    for (let i = 0; i < 200_000; i++) kept[i & 15] = { a: i, b: [i] };
    setImmediate(() => setImmediate(() => { observer.disconnect(); parentPort.postMessage(count); }));`;
  const thread = begun(
    () => new Worker(code, { eval: true, resourceLimits: { maxYoungGenerationSizeMb: 48 } }),
  );
  const [count] = (await once(thread, 'message')) as [number];
  await once(thread, 'exit');
  return count;
}

const PROBES: Readonly<Record<keyof typeof NODE_INTERNALS, () => void | Promise<void>>> = {
  latin1: () => {
    assert.equal(typeof Reflect.get(Buffer.prototype, 'latin1Slice'), 'function');
    assert.equal(typeof Reflect.get(Buffer.prototype, 'latin1Write'), 'function');
    const bytes = new Uint8Array(8).subarray(2);
    assert.equal(writeLatin1(bytes, 'a\xff\x00b', 1, 4), 4);
    assert.deepEqual([...bytes], [0, 97, 255, 0, 98, 0]);
    assert.equal(readLatin1(bytes, 1, 5), 'a\xff\x00b');
  },

  handleReads: () =>
    withPair(async (client, accepted) => {
      let received = '';
      accepted.on('data', (chunk) => {
        received += chunk;
      });
      stopHandle(accepted);
      client.write('held');
      // after a message in both directions on another connection, the first message would have arrived
      await withPair(async (other, otherAccepted) => {
        otherAccepted.pipe(otherAccepted);
        other.write('x');
        await once(other, 'data');
      });
      assert.equal(accepted.bytesRead, 0);
      startHandle(accepted);
      if (received === '') await once(accepted, 'data');
      assert.equal(received, 'held');
    }),

  handleWrites: async () => {
    let closed: Socket | undefined;
    await withPair(async (client, accepted) => {
      let byStream = 0;
      const write = client.write;
      client.write = ((text: string, encoding: BufferEncoding) => {
        byStream += 1;
        return Reflect.apply(write, client, [text, encoding]);
      }) as Socket['write'];
      writeAtOnce(client, 'a\xff');
      writeAtOnce(client, 'b');
      assert.equal(byStream, 0);
      assert.equal(await textOf(accepted, 3), 'a\xffb');
      // behind what waits in the stream
      client.cork();
      client.write('c', 'latin1');
      writeAtOnce(client, 'd');
      client.uncork();
      assert.equal(await textOf(accepted, 2), 'cd');
      assert.equal(byStream, 2);
      // more than the system takes at once
      const long = 'e'.repeat(LONG_TEXT);
      writeAtOnce(client, long);
      writeAtOnce(client, 'f');
      assert.equal((await textOf(accepted, LONG_TEXT + 1)) === `${long}f`, true);
      assert.equal(byStream, 2);
      closed = client;
    });
    assert.ok(closed);
    writeAtOnce(closed, 'g');

    // two writes at once would end the process here, if they did not go by the stream
    const { cert, key } = testCertificate();
    const server = createTlsServer({ cert, key });
    const accepting = once(server, 'secureConnection');
    const client = connectTls({ port: await listen(server), rejectUnauthorized: false });
    await once(client, 'secureConnect');
    const [accepted] = (await accepting) as [TLSSocket];
    writeAtOnce(client, 'a');
    writeAtOnce(client, 'b');
    assert.equal(await textOf(accepted, 2), 'ab');
    client.destroy();
    accepted.destroy();
    server.close();
    await once(server, 'close');
  },

  handleDescriptor: async () => {
    const server = createServer();
    await listen(server);
    assert.ok(fstatSync(descriptorOf(server) ?? -1).isSocket());
    server.close();
    await once(server, 'close');
    assert.equal(descriptorOf(server), undefined);
    const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
    assert.ok((descriptorOf(child.stdin as unknown as Socket) ?? 0) > 2);
    child.stdin.end();
    await once(child, 'close');
  },

  userBuffer: () =>
    withPair(async (client, accepted) => {
      const buffer = Buffer.alloc(16);
      const reading = new Promise<number>((resolve) => {
        const onRead = (size: number): true => {
          resolve(size);
          return true;
        };
        assert.equal(readInto(accepted, buffer, onRead), true);
      });
      client.write('abc');
      assert.equal(await reading, 3);
      assert.equal(readLatin1(buffer, 0, 3), 'abc');
    }),

  ownListeners: async () => {
    const { cert, key } = testCertificate();
    const server = createSecureServer({ cert, key, allowHTTP1: true });
    const startTls = takeOwnListener<Socket>(server, 'connection');
    const serveHttp2 = takeOwnListener<TLSSocket>(server, 'secureConnection');
    const order: string[] = [];
    server.on('connection', (socket: Socket) => {
      order.push('connection');
      startTls(socket);
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      order.push('secureConnection');
      serveHttp2(socket);
    });
    server.on('session', (session: ServerHttp2Session) => {
      order.push('session');
      takeOwnListener(session, 'stream');
      session.on('stream', (stream) => {
        stream.respond({ ':status': 204 }, { endStream: true });
      });
    });
    const port = await listen(server);
    const client = connectHttp2(`https://127.0.0.1:${port}`, {
      ca: cert,
      checkServerIdentity: () => undefined,
    });
    const [head] = (await once(client.request({ ':path': '/' }), 'response')) as [Record<string, unknown>];
    assert.equal(head[':status'], 204);
    assert.deepEqual(order, ['connection', 'secureConnection', 'session']);
    client.close();
    await once(client, 'close');
    server.close();
    await once(server, 'close');
  },

  protocolList: async () => {
    const { cert, key } = testCertificate();
    const server = createSecureServer({ cert, key, allowHTTP1: true });
    takeOwnListener<TLSSocket>(server, 'secureConnection');
    server.on('secureConnection', (socket: TLSSocket) => socket.end());
    server.on('tlsClientError', ignore);
    assert.ok(offerProtocols(server, ['h2', 'http/1.0']));
    const port = await listen(server);
    const chosen = (protocols: string[]): Promise<string | false | null> =>
      new Promise((resolve, reject) => {
        const socket = connectTls({ host: '127.0.0.1', port, ca: cert, ALPNProtocols: protocols }, () => {
          resolve(socket.alpnProtocol);
          socket.destroy();
        });
        socket.on('error', reject);
      });
    assert.equal(await chosen(['http/1.0', 'h2']), 'h2');
    assert.equal(await chosen(['http/1.1', 'http/1.0']), 'http/1.0');
    assert.equal(await chosen([]), false);
    await assert.rejects(chosen(['http/1.1']), /no application protocol/);
    server.close();
    await once(server, 'close');
  },

  ticketKeys: async () => {
    const { cert, key } = testCertificate();
    const keys = [randomBytes(48), randomBytes(48)];
    const [newest, older] = keys as [Buffer, Buffer];
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const servers = [newest, older].map((ticketKeys) => createTlsServer({ cert, key, ticketKeys }));
      const [rotated, before] = servers as [TlsServer, TlsServer];
      assert.ok(readTicketsOf(rotated, keys));
      for (const server of servers) server.on('secureConnection', (socket) => socket.end('hello'));
      const ports = [await listen(rotated), await listen(before)] as const;
      const old = await resume(ports[1], version, undefined);
      const renewed = await resume(ports[0], version, old.session);
      assert.deepEqual([old.reused, renewed.reused], [false, true], version);
      // the client has got a ticket of the newest keys, which the server before does not know
      assert.equal((await resume(ports[1], version, renewed.session)).reused, false, version);
      assert.equal((await resume(ports[0], version, renewed.session)).reused, true, version);
      for (const server of servers) {
        server.close();
        await once(server, 'close');
      }
    }
  },

  certificateRequest: async () => {
    const { cert, key } = testCertificate();
    for (const requestCert of [true, false]) {
      const server = createTlsServer({ cert, key, requestCert, rejectUnauthorized: false });
      const asked = once(server, 'secureConnection') as Promise<[TLSSocket]>;
      const client = connectTls({ port: await listen(server), rejectUnauthorized: false });
      const [socket] = await asked;
      assert.equal(asksForCertificate(socket), requestCert);
      client.destroy();
      socket.destroy();
      server.close();
      await once(server, 'close');
    }
  },

  socketBelow: () =>
    withTls(async (below, secure) => {
      assert.equal(socketBelow(secure), below);
    }),

  serverName: () =>
    withTls(async (_below, secure) => {
      assert.equal(serverNameOf(secure), 'localhost');
    }),

  sessionHandle: async () => {
    const server = createHttp2Server();
    const session = connectHttp2(`http://127.0.0.1:${await listen(server)}`);
    const holder = new SessionHolder();
    assert.equal(holder.isHolding, false);
    await once(session, 'connect');
    holder.connected(session);
    assert.equal(holder.isHolding, true);
    session.destroy();
    server.close();
  },

  webState: async () => {
    const lent = { url: 'http://localhost/lent' };
    const prototype = {};
    lendState<object>(prototype, new Request('http://localhost/'), () => new Request(lent.url));
    const symbols = Object.getOwnPropertySymbols(prototype);
    const source = bodySourceOf(new Response('text'));
    if (NODE_MAJOR >= WEB_STATE_PRIVATE_SINCE) {
      assert.equal(source, undefined);
      assert.deepEqual(symbols, []);
    } else {
      assert.equal(source, 'text');
      assert.ok(symbols.length > 0);
    }
  },

  youngSpace: async () => {
    const flags = cachedDataVersionTag();
    const before = await countCollections((begin) => begin());
    // on a busy machine a thread may get its processor too late
    const counts: number[] = [];
    while (counts.length < YOUNG_SPACE_TRIALS_MAX && !counts.some((after) => after <= before / 3))
      counts.push(await countCollections((begin) => beginWithYoungSpace(16, begin)));
    assert.ok(Math.min(...counts) <= before / 3, `${before} collections before, ${counts} after`);
    assert.equal(cachedDataVersionTag(), flags, 'the flags are as they were');
    assert.throws(() =>
      beginWithYoungSpace(16, () => {
        throw new Error('no thread');
      }),
    );
    assert.equal(cachedDataVersionTag(), flags, 'the flags are as they were, without a thread too');
  },
};

async function withTls(use: (below: Socket, secure: TLSSocket) => Promise<void>): Promise<void> {
  const { cert, key } = testCertificate();
  const server = createTlsServer({ cert, key });
  const port = await listen(server);
  const below = once(server, 'connection');
  const secure = once(server, 'secureConnection');
  const options = { port, host: '127.0.0.1', servername: 'localhost', ca: cert };
  const client = connectTls({ ...options, checkServerIdentity: () => undefined }).on('error', ignore);
  const [accepted] = (await secure) as [TLSSocket];
  accepted.on('error', ignore);
  try {
    await use(((await below) as [Socket])[0], accepted);
  } finally {
    client.destroy();
    accepted.destroy();
    server.close();
    await once(server, 'close');
  }
}

for (const [name, { purpose }] of Object.entries(NODE_INTERNALS))
  test(`${name} works on this Node: ${purpose}`, () => PROBES[name as keyof typeof NODE_INTERNALS]());

test('What the register says of latin1 without the methods of Buffer holds', async () => {
  const prototype = Buffer.prototype as unknown as Record<string, unknown>;
  const { latin1Slice, latin1Write } = prototype;
  // an import under another address loads the module again
  const address = new URL('../../src/native/node-internals.js?without-latin1', import.meta.url).href;
  prototype['latin1Slice'] = undefined;
  prototype['latin1Write'] = undefined;
  let without: typeof import('../../src/native/node-internals.ts');
  try {
    without = await import(address);
  } finally {
    Object.assign(prototype, { latin1Slice, latin1Write });
  }
  const bytes = new Uint8Array(8).subarray(2);
  assert.equal(without.writeLatin1(bytes, 'a\xff\x00b', 1, 4), 4);
  assert.deepEqual([...bytes], [0, 97, 255, 0, 98, 0]);
  assert.equal(without.readLatin1(bytes, 1, 5), 'a\xff\x00b');
});

test('The register says that the lines of Node with long support were tried', () => {
  assert.deepEqual(
    NODE_VERSIONS_TRIED.map((version) => version.split('.')[0]),
    ['20', '22', '24', '26'],
  );
});

/** Patterns of names and expressions that reach into Node's internals. */
const INSIDE: readonly RegExp[] = [
  /\b_handle\b|\b_parent\b|\b_httpMessage\b|\b_events\b|\b_server\b|\b_read\b|\b_write\b|\b_final\b|\b_repeat\b/,
  /\b(?:latin1|utf8|ucs2|hex|base64|ascii)(?:Slice|Write)\b/,
  /\breadSt(?:art|op)\b|\buseUserBuffer\b|\bkBuffer|socket, 'servername'|'parser'/,
  /\.emit\('(?:finish|secureConnection|request|session|stream)'|\.listeners\(|\bgetOwnPropertySymbols\b|\.description\b/,
  /process\.binding|internalBinding|\bsetFlagsFromString\b|'node:internal|'_http_|'_tls_|'_stream_/,
  // properties that the types of Node lack; initgroups is documented, and headers are an object of the script
  /Reflect\.(?:get|set)\((?!process, 'initgroups'\)|headers, name\))/,
];

test('Nobody else touches what Node does not promise', () => {
  const source = join(PACKAGE_ROOT, 'src');
  const found: string[] = [];
  for (const name of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts') || name === join('native', 'node-internals.ts')) continue;
    const code = readFileSync(join(source, name), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '');
    for (const pattern of INSIDE) {
      const [hit] = pattern.exec(code) ?? [];
      if (hit !== undefined) found.push(`${name}: ${hit}`);
    }
  }
  assert.deepEqual(found, []);
});
