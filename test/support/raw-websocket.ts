/**
 * A WebSocket client that decides on every byte: it opens a socket over HTTP/1.1 (TLS or cleartext) or over a stream of HTTP/2
 * (RFC 8441), sends bytes as a test gives them, and keeps the frames that come.
 */
import type { ClientHttp2Session } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { type ServerFrame, ServerFrameReader } from './websocket-frames.ts';

/** Longest wait for a frame or an end, sufficient on a busy machine. */
const WAIT_MAX_MS = 60_000;
const HEAD_END = '\r\n\r\n';
/** The sample key of RFC 6455 §1.3. */
export const SAMPLE_KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const SAMPLE_ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

export type Fields = Readonly<Record<string, string>>;

/** How to reach a server: a port, and what carries the socket. */
export type Carrier =
  | {
      readonly kind: 'h1';
      readonly port: number;
      readonly secure: boolean;
      readonly localAddress?: string;
      /** Sent before everything else, without TLS. */
      readonly preface?: Uint8Array;
    }
  | { readonly kind: 'h2'; readonly session: ClientHttp2Session };

/** A refused handshake: the socket was not opened. */
export class RefusedHandshake extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`The handshake was answered with ${status}`);
    this.status = status;
  }
}

export class RawWebSocket {
  /** The fields of the answer to the handshake, in lower case. */
  readonly fields: Fields;
  readonly stream: Duplex;
  readonly #reader = new ServerFrameReader();
  #ended = false;
  #closed = false;
  #wake: (() => void) | undefined;

  /** `stream` carries frames from here on; `first` has come with the head of the answer. */
  constructor(stream: Duplex, fields: Fields, first?: Buffer) {
    this.stream = stream;
    this.fields = fields;
    if (first !== undefined && first.length > 0) this.#reader.take(first);
    stream.on('data', (chunk: Buffer) => {
      this.#reader.take(chunk);
      this.#wake?.();
    });
    stream.on('end', () => {
      this.#ended = true;
      this.#wake?.();
    });
    stream.on('error', () => this.#wake?.());
    stream.on('close', () => {
      this.#closed = true;
      this.#wake?.();
    });
  }

  /** Every frame received, in order. */
  get frames(): readonly ServerFrame[] {
    return this.#reader.frames;
  }

  /** Bytes received that are no whole frame. */
  get pending(): number {
    return this.#reader.pending;
  }

  /** The server has ended its side in order. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The server has ended its side, or the connection or stream is gone. */
  get over(): boolean {
    return this.#ended || this.#closed;
  }

  send(bytes: Uint8Array): void {
    if (!this.stream.destroyed && !this.stream.writableEnded) this.stream.write(bytes);
  }

  /** Sends pieces that arrive one by one: the next leaves when the one before has been handed over. Stops where the server ends. */
  async sendPieces(pieces: Iterable<Uint8Array>): Promise<void> {
    for (const piece of pieces) {
      if (this.over || this.stream.destroyed) return;
      await new Promise<void>((resolve) => {
        this.stream.write(piece, () => setImmediate(resolve));
        // the callback of a write does not come when the stream is destroyed meanwhile
        if (this.stream.destroyed) resolve();
      });
    }
  }

  /** Waits until the server has ended, or `holds` returns true. Returns false when neither came in time. */
  async until(holds: () => boolean = () => false, limitMs: number = WAIT_MAX_MS): Promise<boolean> {
    const limit = performance.now() + limitMs;
    while (!holds() && !this.over) {
      const left = limit - performance.now();
      if (left <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return true;
  }

  /** Resolves with the frame of this number, counted from 0. */
  async frame(index: number): Promise<ServerFrame> {
    await this.until(() => this.frames.length > index);
    const found = this.frames[index];
    if (found === undefined) throw new Error(`Waited in vain for frame ${index}; over: ${this.over}`);
    return found;
  }

  end(): void {
    if (!this.stream.destroyed) this.stream.end();
  }

  destroy(): void {
    this.stream.destroy();
  }
}

/** Opens a WebSocket; rejects with a `RefusedHandshake` when the answer is another. */
export function openWebSocket(carrier: Carrier, path: string, fields: Fields = {}): Promise<RawWebSocket> {
  return carrier.kind === 'h1'
    ? openOverHttp1(carrier, handshakeHead(path, fields))
    : openOverHttp2(carrier.session, path, fields);
}

/** The head that asks for a WebSocket over HTTP/1.1. */
export function handshakeHead(path: string, fields: Fields = {}): string {
  const all = {
    Host: 'localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': SAMPLE_KEY,
    'Sec-WebSocket-Version': '13',
    ...fields,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

type Http1Carrier = Extract<Carrier, { kind: 'h1' }>;

function openOverHttp1(carrier: Http1Carrier, head: string): Promise<RawWebSocket> {
  const { port, secure, localAddress, preface } = carrier;
  const target = { host: '127.0.0.1', port, noDelay: true, ...(localAddress && { localAddress }) };
  return new Promise((resolve, reject) => {
    const socket = secure
      ? connectTls({
          ...target,
          servername: 'localhost',
          rejectUnauthorized: false,
          ALPNProtocols: ['http/1.1'],
        })
      : connectTcp(target);
    let received: Buffer = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('close', () =>
      reject(new Error(`Closed after ${JSON.stringify(received.toString('latin1'))}`)),
    );
    const take = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf(HEAD_END);
      if (end === -1) return;
      socket.off('data', take);
      const { status, fields } = readHead(received.toString('latin1', 0, end));
      if (status === 101) resolve(new RawWebSocket(socket, fields, received.subarray(end + HEAD_END.length)));
      else {
        socket.destroy();
        reject(new RefusedHandshake(status));
      }
    };
    socket.on('data', take);
    if (preface !== undefined) socket.write(preface);
    socket.write(head, 'latin1');
  });
}

function readHead(head: string): { status: number; fields: Fields } {
  const [statusLine = '', ...lines] = head.split('\r\n');
  const fields = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  return { status: Number(statusLine.split(' ')[1]), fields: Object.fromEntries(fields) };
}

function openOverHttp2(session: ClientHttp2Session, path: string, fields: Fields): Promise<RawWebSocket> {
  return new Promise((resolve, reject) => {
    const stream = session.request(
      {
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':path': path,
        'sec-websocket-version': '13',
        ...fields,
      },
      { endStream: false },
    );
    stream.on('error', reject);
    stream.on('close', () => reject(new Error(`Reset with code ${stream.rstCode}`)));
    stream.on('response', (head) => {
      const status = Number(head[':status']);
      const named = Object.entries(head).map(([name, value]) => [name, String(value)] as const);
      if (status === 200) resolve(new RawWebSocket(stream, Object.fromEntries(named)));
      else {
        stream.close();
        reject(new RefusedHandshake(status));
      }
    });
  });
}
