/** A WebSocket client for tests, over HTTP/1.1 or HTTP/2, on the frames of the package `ws`; it says what has come, in order. */
import { once } from 'node:events';
import type { ClientHttp2Session } from 'node:http2';
import { createRequire } from 'node:module';
import { connect as connectTcp } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import type { Parts, PerMessageDeflate, Receiver, Sender } from 'ws';
import { connectH2 } from './h2-client.ts';
import { waitFor } from './test-front-end.ts';

const ws = createRequire(import.meta.url)('ws') as Parts;

export type Transport = 'HTTP/1.1' | 'HTTP/2';
export const TRANSPORTS: readonly Transport[] = ['HTTP/1.1', 'HTTP/2'];

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface PeerOptions {
  /** In the place of the fields of a handshake; undefined takes one away. */
  readonly fields?: Readonly<Record<string, string | undefined>>;
  /** Offers compression. */
  readonly deflate?: boolean;
  /** Without TLS. */
  readonly isPlain?: boolean;
  /** Does not answer pings. */
  readonly isDead?: boolean;
  /** Shared by several WebSockets of HTTP/2. */
  readonly session?: ClientHttp2Session;
}

const peers = new Set<WebSocketPeer>();

export class WebSocketPeer {
  readonly answer: Answer;
  readonly stream: Duplex;
  /** Messages that have come: text as it is, binary behind `binary:`. */
  readonly messages: string[] = [];
  pings = 0;
  /** Of the close frame that has come. */
  code: number | undefined;
  reason = '';
  /** The server has ended its side, or the connection has gone. */
  ended = false;
  readonly #sender: Sender;
  readonly #receiver: Receiver;
  readonly #end: () => void;

  private constructor(stream: Duplex, answer: Answer, options: PeerOptions, end: () => void) {
    peers.add(this);
    this.stream = stream;
    this.answer = answer;
    this.#end = end;
    const extensions: Record<string, PerMessageDeflate> = {};
    const agreed = answer.headers['sec-websocket-extensions'];
    if (agreed !== undefined) {
      const deflate = new ws.PerMessageDeflate({
        isServer: false,
        maxPayload: 0,
        serverNoContextTakeover: false,
        threshold: 0,
        concurrencyLimit: 10,
        zlibDeflateOptions: { level: 6, memLevel: 8 },
      });
      deflate.accept(ws.extension.parse(agreed)['permessage-deflate'] ?? []);
      extensions['permessage-deflate'] = deflate;
    }
    this.#sender = new ws.Sender(stream, extensions);
    this.#receiver = new ws.Receiver({ isServer: false, extensions, maxPayload: 0, maxFragments: 0 });
    this.#receiver.on('message', (data, isBinary) =>
      this.messages.push(isBinary ? `binary:${data.toString('latin1')}` : data.toString()),
    );
    this.#receiver.on('ping', (data) => {
      this.pings += 1;
      if (options.isDead !== true) this.#sender.pong(data, true);
    });
    this.#receiver.on('conclude', (code, reason) => {
      this.code = code;
      this.reason = reason.toString();
    });
    this.#receiver.on('error', () => undefined);
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => this.#receiver.write(chunk));
    const ends = (): void => {
      this.ended = true;
    };
    stream.on('end', ends);
    stream.on('close', ends);
  }

  /** Asks for a WebSocket and resolves when the answer has come, whatever it is. */
  static async connect(
    port: number,
    transport: Transport,
    path: string,
    options: PeerOptions = {},
  ): Promise<WebSocketPeer> {
    const fields: Record<string, string | undefined> = {
      'sec-websocket-version': '13',
      ...(options.deflate === true ? { 'sec-websocket-extensions': 'permessage-deflate' } : {}),
      ...options.fields,
    };
    return await (transport === 'HTTP/2'
      ? connectStream(port, path, fields, options)
      : connectSocket(port, path, fields, options));
  }

  static make(stream: Duplex, answer: Answer, options: PeerOptions, end: () => void): WebSocketPeer {
    return new WebSocketPeer(stream, answer, options, end);
  }

  send(data: string | Uint8Array, more: { readonly fin?: boolean; readonly compress?: boolean } = {}): void {
    const { fin = true, compress = false } = more;
    const isBinary = typeof data !== 'string';
    this.#sender.send(Buffer.from(data as string), { binary: isBinary, compress, fin, mask: true });
  }

  ping(data = ''): void {
    this.#sender.ping(Buffer.from(data), true);
  }

  close(code?: number, reason = ''): void {
    this.#sender.close(code, Buffer.from(reason), true, () => undefined);
  }

  /** Sends bytes that may be no frame. */
  raw(bytes: Uint8Array): void {
    this.stream.write(bytes);
  }

  /** Resolves with message number `index` (0: the first). */
  async message(index = 0): Promise<string> {
    await waitFor(() => this.messages.length > index || this.ended, `message ${index}`);
    return this.messages[index] ?? `closed with ${this.code}`;
  }

  /** Resolves with the code of the server's close frame, or `gone`, when the server has ended its side. */
  async closed(): Promise<number | 'gone'> {
    // what has come may still be inflated
    const isRead = (): boolean => this.code !== undefined || this.#receiver.writableLength === 0;
    await waitFor(() => this.ended && isRead(), 'the end');
    return this.code ?? 'gone';
  }

  /** Destroys whoever is left of a test. */
  static destroyAll(): void {
    for (const peer of peers) peer.destroy();
  }

  destroy(): void {
    peers.delete(this);
    this.stream.destroy();
    this.#end();
  }
}

async function connectStream(
  port: number,
  path: string,
  fields: Readonly<Record<string, string | undefined>>,
  options: PeerOptions,
): Promise<WebSocketPeer> {
  const session = options.session ?? (await connectH2(port, options.isPlain === true ? 'http' : 'https'));
  if (session.remoteSettings.enableConnectProtocol !== true) await once(session, 'remoteSettings');
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': path,
      ':scheme': options.isPlain === true ? 'http' : 'https',
      ':authority': 'localhost',
      ...fields,
    },
    { endStream: false },
  );
  stream.on('error', () => undefined);
  const [head] = await once(stream, 'response');
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(head)) headers[name] = String(value);
  const end = (): void => {
    if (options.session === undefined) session.destroy();
  };
  return WebSocketPeer.make(stream, { status: Number(head[':status']), headers }, options, end);
}

async function connectSocket(
  port: number,
  path: string,
  fields: Readonly<Record<string, string | undefined>>,
  options: PeerOptions,
): Promise<WebSocketPeer> {
  const socket =
    options.isPlain === true
      ? connectTcp({ host: '127.0.0.1', port })
      : connect({ host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false });
  await once(socket, options.isPlain === true ? 'connect' : 'secureConnect');
  const all = {
    host: 'localhost',
    connection: 'keep-alive, Upgrade',
    upgrade: 'WebSocket',
    'sec-websocket-key': KEY,
    ...fields,
  };
  let text = `GET ${path} HTTP/1.1\r\n`;
  for (const [name, value] of Object.entries(all)) if (value !== undefined) text += `${name}: ${value}\r\n`;
  socket.write(`${text}\r\n`, 'latin1');
  let received = Buffer.alloc(0);
  let end = -1;
  while (end === -1) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    received = Buffer.concat([received, chunk]);
    end = received.indexOf('\r\n\r\n');
  }
  socket.pause();
  const [statusLine = '', ...lines] = received.toString('latin1', 0, end).split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const at = line.indexOf(':');
    headers[line.slice(0, at).toLowerCase()] = line.slice(at + 1).trim();
  }
  socket.unshift(received.subarray(end + 4));
  const peer = WebSocketPeer.make(
    socket,
    { status: Number(statusLine.split(' ')[1]), headers },
    options,
    () => socket.destroy(),
  );
  socket.resume();
  return peer;
}
