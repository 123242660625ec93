/** The server of the conformance tests, one for each test file, and `rule`, which gives each test its own connection. */
import { strictEqual } from 'node:assert/strict';
import { connect as connectTcp } from 'node:net';
import { after, before, test } from 'node:test';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { StrictPeer } from './strict-peer.ts';
import {
  type HandlerFunction,
  readBody,
  startFrontEnd,
  streamBody,
  type TestFrontEnd,
} from './test-front-end.ts';

/** A small limit, so that a test reaches it with few requests. */
export const STREAMS_MAX = 16;
/** Bytes of the body of `/large`. */
export const LARGE_BYTES = 200_000;

const text = (value: string): Uint8Array => Buffer.from(value, 'latin1');

/** Names of the handlers that ran since the start of the current test. */
const reached: string[] = [];
/** Reasons why exchanges of `/wait` were aborted. */
const aborted: string[] = [];

const HANDLERS: Readonly<Record<string, HandlerFunction>> = {
  '/hello': (x) => {
    x.head(200, ['content-type', 'text/plain']);
    x.write(text('hello'));
    x.end();
  },
  '/echo': (x) =>
    readBody(x, (body) => {
      if (body === undefined) return;
      x.head(200, []);
      x.write(body);
      x.end();
    }),
  '/size': (x) =>
    readBody(x, (body) => {
      if (body === undefined) return;
      x.head(200, []);
      x.write(text(String(body.length)));
      x.end();
    }),
  '/fields': (x) => {
    x.head(200, []);
    x.write(text(JSON.stringify([x.method, x.scheme, x.authority, x.target, ...x.fields])));
    x.end();
  },
  '/wait': (x) => {
    x.onAbort = (reason) => aborted.push(reason.code);
  },
  '/unread': (x) => {
    x.head(200, []);
    x.write(text('unread'));
    x.end();
  },
  '/large': (x) => streamBody(x, Buffer.alloc(LARGE_BYTES / 10, 'l'), 10),
  '/none': (x) => {
    x.head(200, []);
    x.end();
  },
  '/empty': (x) => {
    x.head(204, []);
    x.end();
  },
  '/part': (x) => {
    x.head(200, []);
    x.write(text('part'));
    x.flush();
  },
  '/trailers': (x) => {
    x.head(200, []);
    x.write(text('body'));
    x.flush();
    x.trailers(['X-Sum', '42']);
    x.end();
  },
  '/hints': (x) => {
    x.inform(103, ['link', '</a.css>; rel=preload']);
    x.head(200, []);
    x.write(text('hinted'));
    x.end();
  },
  '/connection': (x) => {
    x.head(200, ['Connection', 'close', 'Keep-Alive', '5', 'Upgrade', 'h3', 'X-Upper', 'Yes']);
    x.end();
  },
  '/wide': (x) => {
    x.head(200, ['x-wide', 'w'.repeat(40_000)]);
    x.end();
  },
  '/push': (x) => {
    const promise = { method: 'GET', scheme: 'https', authority: 'localhost', target: '/hello', fields: [] };
    const pushed = x.canPush ? x.push(promise) : undefined;
    if (pushed !== undefined) {
      pushed.head(200, []);
      pushed.write(text('pushed'));
      pushed.end();
    }
    x.head(200, []);
    x.write(text(pushed === undefined ? 'alone' : 'together'));
    x.end();
  },
  // pushes a resource, and answers neither the request nor the push
  '/promise': (x) => {
    const promise = { method: 'GET', scheme: 'https', authority: 'localhost', target: '/hello', fields: [] };
    if (x.canPush) x.push(promise);
    x.head(200, []);
    x.write(text('part'));
    x.flush();
  },
};

let server: TestFrontEnd;
let cleartext: TestFrontEnd;

/** Starts the servers before the first test of a file and stops them after the last. */
export function serveRules(): void {
  const handlers = Object.fromEntries(
    Object.entries(HANDLERS).map(([name, handle]): [string, HandlerFunction] => [
      name,
      (exchange, route) => {
        reached.push(name);
        handle(exchange, route);
      },
    ]),
  );
  before(async () => {
    const options = { limits: { streamsMax: STREAMS_MAX } };
    server = await startFrontEnd(handlers, options);
    cleartext = await startFrontEnd(handlers, { ...options, cleartext: true });
  });
  after(() => Promise.all([server.stop(), cleartext.stop()]));
}

export interface Rule {
  /** Settings that the client sends after its preface. Undefined: the rule starts the connection itself. */
  readonly settings?: readonly (readonly [number, number])[];
  readonly start?: boolean;
  readonly cleartext?: boolean;
  readonly tls?: ConnectionOptions;
}

/**
 * Declares one test; `name` begins with the section of the RFC. The test also fails when the server breaks a rule for servers.
 */
export function rule(name: string, prove: (peer: StrictPeer) => Promise<void>, options: Rule = {}): void {
  test(name, async () => {
    reached.length = 0;
    aborted.length = 0;
    const peer = options.cleartext === true ? await connectCleartext() : await connectSecure(options.tls);
    try {
      if (options.start !== false) peer.start(...(options.settings ?? []));
      await prove(peer);
      peer.check();
    } finally {
      peer.destroy();
      // waits here, so that exchanges that the server aborts now count for this rule and not for the next one
      await (options.cleartext === true ? cleartext : server).whenIdle();
    }
  });
}

/** Returns how often a handler ran since the start of the current test. */
export function timesReached(name: string): number {
  return reached.filter((own) => own === name).length;
}

export function expectUnreached(name = '/hello'): void {
  strictEqual(timesReached(name), 0, `${name} was not reached`);
}

export function abortCodes(): readonly string[] {
  return aborted;
}

export function securePort(): number {
  return server.port;
}

/** Opens a TLS connection that has negotiated h2. */
export function connectSecure(tls: ConnectionOptions = {}): Promise<StrictPeer> {
  return new Promise((resolve, reject) => {
    const socket = connectTls(
      {
        port: server.port,
        host: '127.0.0.1',
        servername: 'localhost',
        rejectUnauthorized: false,
        ALPNProtocols: ['h2'],
        ...tls,
      },
      () => {
        socket.removeListener('error', reject);
        socket.setNoDelay(true);
        resolve(new StrictPeer(socket));
      },
    );
    socket.once('error', reject);
  });
}

function connectCleartext(): Promise<StrictPeer> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ port: cleartext.port, host: '127.0.0.1', noDelay: true }, () => {
      socket.removeListener('error', reject);
      resolve(new StrictPeer(socket));
    });
    socket.once('error', reject);
  });
}
