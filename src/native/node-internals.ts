/**
 * Everything of Node.js that the gateway uses and Node's manual does not promise, in one place: what for, and what happens
 * where a release lacks it. Other files call these functions and touch nothing of the kind themselves.
 *
 * Long because it is the whole register: a test tries each entry on each release of Node.
 */
import { randomBytes } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import type { Server, Socket } from 'node:net';
import type { TLSSocket, Server as TlsServer } from 'node:tls';
import { getSystemErrorName } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import type { Worker } from 'node:worker_threads';
import { assert } from '../base/assert.ts';

/** The releases for which `npm run test:node` last passed. It runs the newest release of each of these lines. */
export const NODE_VERSIONS_TRIED = ['20.20.2', '22.23.5', '24.22.3', '26.12.1'] as const;

/**
 * The register: what of Node is used, what for, and what happens on a Node that has no such thing. test/native/node-internals.test.ts
 * tries every entry.
 */
export const NODE_INTERNALS = {
  latin1: {
    uses: 'Buffer.prototype.latin1Slice and latin1Write, on any Uint8Array',
    purpose: 'text of bytes and bytes of text, without the look at the name of an encoding',
    without: 'the same by toString() and write()',
  },
  handleReads: {
    uses: 'socket._handle with reading, readStop() and readStart()',
    purpose: 'stops the reads of a socket at once',
    without: 'pause() alone stops it, when the buffer of the stream is full',
  },
  handleWrites: {
    uses: "socket._handle.writeLatin1String() with WriteWrap, streamBaseState and kLastWriteWasAsync of process.binding('stream_wrap')",
    purpose: 'a short text goes to the system at once, without the queue of the stream',
    without: 'it goes by the stream',
  },
  handleDescriptor: {
    uses: '_handle.fd of a server and of a pipe',
    purpose: 'the number of the descriptor: to duplicate a listener, to write to a pipe at once',
    without: 'the supervisor refuses to start (LGW_LISTEN); pipes are written by their stream',
  },
  userBuffer: {
    uses: 'the properties kBuffer, kBufferCb and kBufferGen of a socket, and _handle.useUserBuffer()',
    purpose: 'the sockets of a server read into one buffer; net.connect has the option onread for it',
    without: 'each read brings a buffer of its own, by the event data',
  },
  ownListeners: {
    uses: 'the listeners that tls.Server and http2.Http2SecureServer add to themselves',
    purpose: 'the gateway looks at a connection first, and decides who serves it',
    without: 'the start fails with an assertion',
  },
  socketBelow: {
    uses: 'tlsSocket._parent',
    purpose: 'finds the deadline and the peer of a connection whose handshake ends or fails',
    without: 'the deadline lasts until the connection closes: connections that live longer end',
  },
  serverName: {
    uses: 'tlsSocket.servername of a server',
    purpose: 'the name that a client asked for by SNI',
    without: 'scripts see no name',
  },
  ticketKeys: {
    uses: 'server._sharedCreds.context with enableTicketKeyCallback() and onticketkeycallback',
    purpose:
      'session tickets that were made with the keys before are still read; server.setTicketKeys() takes one set of keys',
    without:
      'only tickets of the newest keys are read: after a rotation each client makes one full handshake',
  },
  protocolList: {
    uses: 'server.ALPNProtocols of a server of node:http2',
    purpose: 'HTTP/1.0 and acme-tls/1 are chosen without a call of JavaScript in each handshake',
    without: 'ALPNCallback chooses',
  },
  certificateRequest: {
    uses: 'tlsSocket._requestCert of a server',
    purpose: 'tells a client that was asked for a certificate and has none from one that was not asked',
    without: 'nobody counts as asked: scripts see no certificate of a client, and who demands one gets none',
  },
  sessionHandle: {
    uses: 'the property kHandle of a session of node:http2',
    purpose:
      'Node 20 ends the process where a session is collected before a stream whose head had come in part: the session is held so long',
    without: 'it is not held: later releases collect them in either order',
  },
  webState: {
    uses: 'the properties named by symbols of a Request, and state.body.source of a Response; Node 24 and later have none',
    purpose: 'light requests work with fetch(); known bodies of responses are sent without a stream',
    without:
      'every request is a real one, and every body is read from its stream: answers have no content-length of ours',
  },
  youngSpace: {
    uses: 'the flag --min-semi-space-size of the engine, set while a thread begins; thread.resourceLimits shows when it does',
    purpose: 'worker threads begin with room for what requests leave behind',
    without: 'the engine lets that room grow by itself',
  },
} as const;

// ---- bytes ----

interface Latin1Methods {
  readonly latin1Slice?: (this: Uint8Array, start: number, end: number) => string;
  readonly latin1Write?: (this: Uint8Array, text: string, at: number, size: number) => number;
}

const {
  latin1Slice = function (this: Uint8Array, start: number, end: number): string {
    return asBuffer(this).toString('latin1', start, end);
  },
  latin1Write = function (this: Uint8Array, text: string, at: number, size: number): number {
    return asBuffer(this).write(text, at, size, 'latin1');
  },
} = Buffer.prototype as Latin1Methods;

/** The bytes from `start` to `end` as a byte string. */
export function readLatin1(bytes: Uint8Array, start: number, end: number): string {
  return latin1Slice.call(bytes, start, end);
}

/** Writes `size` characters of a byte string; returns how many have been written. */
export function writeLatin1(bytes: Uint8Array, text: string, at: number, size: number): number {
  return latin1Write.call(bytes, text, at, size);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// ---- sockets ----

interface ReadHandle {
  reading?: boolean;
  readStart(): number;
  readStop(): number;
}

/** Nothing more is read. Bytes of a read that has happened may still come. */
export function stopHandle(socket: Socket): void {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (!isReadHandle(handle) || handle.reading === false) return;
  handle.reading = false;
  handle.readStop();
}

/** Reads on after `stopHandle`. */
export function startHandle(socket: Socket): void {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (!isReadHandle(handle) || handle.reading !== false) return;
  handle.reading = true;
  handle.readStart();
}

function isReadHandle(value: unknown): value is ReadHandle {
  return (
    typeof value === 'object' &&
    value !== null &&
    'readStart' in value &&
    typeof value.readStart === 'function' &&
    'readStop' in value &&
    typeof value.readStop === 'function'
  );
}

interface WriteRequest {
  /** Called only where the system has not taken all at once. */
  oncomplete?: (status: number) => void;
}

interface WriteBinding {
  readonly WriteWrap: new () => WriteRequest;
  /** What the last write has come to, at `kLastWriteWasAsync`: 0 = the system has taken all, and nobody keeps the request. */
  readonly streamBaseState: ArrayLike<number>;
  readonly kLastWriteWasAsync: number;
}

interface WriteHandle {
  writeLatin1String(request: WriteRequest, text: string): number;
}

/** Null: not looked for yet; undefined: this release has none. */
let writes: WriteBinding | undefined | null = null;
/** Lent to one write at a time. */
let spareRequest: WriteRequest | undefined;

/**
 * Writes a byte string behind all that the socket was given before. It must be connected. Errors are told as those of `socket.write` are.
 *
 * Sockets of TLS go by their stream: a second write that meets one under way would end the process there.
 */
export function writeAtOnce(socket: Socket, text: string): void {
  const { _handle: handle, encrypted } = socket as { _handle?: unknown; encrypted?: boolean };
  if (writes === null) writes = findWrites();
  if (encrypted === true || socket.writableLength > 0 || writes === undefined || !isWriteHandle(handle)) {
    socket.write(text, 'latin1');
    return;
  }
  const request = spareRequest ?? new writes.WriteWrap();
  spareRequest = undefined;
  // a handle that refuses has taken nothing, and the stream comes to the same error
  if (handle.writeLatin1String(request, text) !== 0) socket.write(text, 'latin1');
  else if (writes.streamBaseState[writes.kLastWriteWasAsync] === 0) spareRequest = request;
  else
    request.oncomplete = (status) => {
      if (status < 0) socket.destroy(writeError(status));
    };
}

function writeError(status: number): Error {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(`write ${code}`), { errno: status, code, syscall: 'write' });
}

function findWrites(): WriteBinding | undefined {
  try {
    const binding: unknown = Reflect.apply(Reflect.get(process, 'binding'), process, ['stream_wrap']);
    return isWriteBinding(binding) ? binding : undefined;
  } catch {
    // Node's permission model forbids it
    return undefined;
  }
}

function isWriteBinding(value: unknown): value is WriteBinding {
  return (
    typeof value === 'object' &&
    value !== null &&
    'WriteWrap' in value &&
    typeof value.WriteWrap === 'function' &&
    'streamBaseState' in value &&
    ArrayBuffer.isView(value.streamBaseState) &&
    'kLastWriteWasAsync' in value &&
    typeof value.kLastWriteWasAsync === 'number'
  );
}

function isWriteHandle(value: unknown): value is WriteHandle {
  return (
    typeof value === 'object' &&
    value !== null &&
    'writeLatin1String' in value &&
    typeof value.writeLatin1String === 'function'
  );
}

/** The descriptor of a listening server or an open pipe; undefined when it is closed, or on platforms that have none. */
export function descriptorOf(owner: Server | Socket): number | undefined {
  const handle: unknown = Reflect.get(owner, '_handle');
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return undefined;
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}

/** The socket below a TLS socket of a server, or the TLS socket itself. */
export function socketBelow(socket: TLSSocket): object {
  const parent: unknown = Reflect.get(socket, '_parent');
  return typeof parent === 'object' && parent !== null ? parent : socket;
}

/** What a client of a TLS server asked for by SNI. */
export function serverNameOf(socket: TLSSocket): string | undefined {
  const name: unknown = Reflect.get(socket, 'servername');
  return typeof name === 'string' ? name : undefined;
}

interface BufferPlaces {
  readonly buffer: symbol;
  readonly callback: symbol;
}

/** Found once: all sockets share the symbols. */
let bufferPlaces: BufferPlaces | undefined;

/**
 * Makes the socket read into `buffer`, and calls `onRead` with the number of bytes of each read. False: it cannot be told to.
 * Sockets of servers have the same places for it as those of `net.connect`, but no option.
 */
export function readInto(socket: Socket, buffer: Buffer, onRead: (size: number) => true): boolean {
  const places = findBufferPlaces(socket);
  const handle: unknown = Reflect.get(socket, '_handle');
  if (places === undefined || !isBufferHandle(handle)) return false;
  Reflect.set(socket, places.buffer, buffer);
  Reflect.set(socket, places.callback, onRead);
  handle.useUserBuffer(buffer);
  return true;
}

interface BufferHandle {
  useUserBuffer(buffer: Uint8Array): void;
}

function isBufferHandle(value: unknown): value is BufferHandle {
  return (
    typeof value === 'object' &&
    value !== null &&
    'useUserBuffer' in value &&
    typeof value.useUserBuffer === 'function'
  );
}

function findBufferPlaces(socket: Socket): BufferPlaces | undefined {
  if (bufferPlaces !== undefined && Reflect.get(socket, bufferPlaces.buffer) === null) return bufferPlaces;
  const own = (name: string): symbol | undefined =>
    Object.getOwnPropertySymbols(socket).find(
      (symbol) => symbol.description === name && Reflect.get(socket, symbol) === null,
    );
  const buffer = own('kBuffer');
  const callback = own('kBufferCb');
  // a function here would be asked for a buffer
  if (buffer === undefined || callback === undefined || own('kBufferGen') === undefined) return undefined;
  bufferPlaces = { buffer, callback };
  return bufferPlaces;
}

// ---- servers ----

/** Node's own listener for `event`, which is taken off; it begins where it is called with what the event brings. */
export function takeOwnListener<T>(emitter: EventEmitter, event: string): (brought: T) => void {
  const [listener] = emitter.listeners(event);
  assert(listener !== undefined, `node listens for ${event}`);
  emitter.removeAllListeners(event);
  return (brought) => Reflect.apply(listener, emitter, [brought]);
}

interface TicketContext {
  enableTicketKeyCallback(): void;
  onticketkeycallback?: TicketCallback;
}
type TicketCallback = (name: Buffer, iv: Buffer, isNew: boolean) => [status: number, ...parts: Uint8Array[]];

const TICKET_PART_BYTES = 16;
const UNKNOWN_TICKET = 0;
const KNOWN_TICKET = 1;
/** It is good, and the client gets a new one. */
const OLD_TICKET = 2;

/**
 * Lets the server make tickets with the first of these keys and read those of all, 48 bytes each. One alone needs only
 * `server.setTicketKeys()`. False: it cannot be told to, and reads those of the keys that it was made with.
 */
export function readTicketsOf(server: TlsServer, keys: readonly Uint8Array[]): boolean {
  const credentials: unknown = Reflect.get(server, '_sharedCreds');
  const context: unknown =
    typeof credentials === 'object' && credentials !== null ? Reflect.get(credentials, 'context') : undefined;
  const parts = keys.map((key) =>
    [0, 1, 2].map((i) => key.subarray(i * TICKET_PART_BYTES, (i + 1) * TICKET_PART_BYTES)),
  );
  const [newest] = parts;
  if (!isTicketContext(context) || newest === undefined) return false;
  const [newName, newMac, newCipher] = newest as [Uint8Array, Uint8Array, Uint8Array];
  context.onticketkeycallback = (name, _iv, isNew) => {
    if (isNew) return [KNOWN_TICKET, newMac, newCipher, newName, randomBytes(TICKET_PART_BYTES)];
    // names are no secret
    const found = parts.findIndex(([own]) => own !== undefined && name.equals(own));
    const [, mac, cipher] = parts[found] ?? newest;
    if (mac === undefined || cipher === undefined) return [UNKNOWN_TICKET, newMac, newCipher];
    return [found === -1 ? UNKNOWN_TICKET : found === 0 ? KNOWN_TICKET : OLD_TICKET, mac, cipher];
  };
  context.enableTicketKeyCallback();
  return true;
}

/**
 * Lets a server that was made without ALPNCallback choose among these protocols, the best first; a handshake that offers others alone is refused.
 * False: it cannot be told to.
 */
export function offerProtocols(server: TlsServer, protocols: readonly string[]): boolean {
  if (!(Reflect.get(server, 'ALPNProtocols') instanceof Uint8Array)) return false;
  // RFC 7301 §3.1: each name behind its length
  const names = protocols.map((name) => Buffer.from(name, 'latin1'));
  const list = Buffer.concat(names.flatMap((name) => [Buffer.of(name.length), name]));
  return Reflect.set(server, 'ALPNProtocols', list);
}

function isTicketContext(value: unknown): value is TicketContext {
  return (
    typeof value === 'object' &&
    value !== null &&
    'enableTicketKeyCallback' in value &&
    typeof value.enableTicketKeyCallback === 'function'
  );
}

/** The client of a TLS server was asked for a certificate. */
export function asksForCertificate(socket: TLSSocket): boolean {
  return Reflect.get(socket, '_requestCert') === true;
}

/** Holds what belongs to an object until the object has been collected. */
const holders = new FinalizationRegistry<object>(() => undefined);

/**
 * Makes the handle of a session of node:http2 live for as long as each stream that is given: where both are collected at the same
 * time, and the session first, the heads that streams hold are memory of a session that is no more. Call it when the session is
 * connected; `add` may be called before.
 */
export class SessionHolder {
  #handle: unknown;

  connected(session: ClientHttp2Session): void {
    const symbol = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'kHandle');
    if (symbol !== undefined) this.#handle = Reflect.get(session, symbol);
  }

  add(stream: ClientHttp2Stream): void {
    holders.register(stream, this);
  }

  get isHolding(): boolean {
    return this.#handle !== undefined;
  }
}

// ---- the web's classes ----

/** Gives `prototype` the state that the platform keeps on `example` by symbols: that of what `realOf` makes of an object. */
export function lendState<T extends object>(
  prototype: T,
  example: object,
  realOf: (self: T) => object,
): void {
  for (const symbol of Object.getOwnPropertySymbols(example)) {
    Object.defineProperty(prototype, symbol, {
      get(this: T) {
        return Reflect.get(realOf(this), symbol);
      },
    });
  }
}

/** Undefined where the platform does not let anybody look; `bodySourceOf` finds out at its first call. */
let responseState: symbol | undefined | null = null;

/**
 * What the body of a response was made of, where it is known. To read a text back from the stream that was built around it
 * costs more than all the rest.
 */
export function bodySourceOf(response: Response): string | Uint8Array | undefined {
  if (responseState === null) {
    const symbols = Object.getOwnPropertySymbols(response);
    responseState = symbols.find(({ description }) => description === 'state');
  }
  if (responseState === undefined) return undefined;
  const state: unknown = Reflect.get(response, responseState);
  if (typeof state !== 'object' || state === null || !('body' in state)) return undefined;
  const { body } = state;
  if (typeof body !== 'object' || body === null || !('source' in body)) return undefined;
  return typeof body.source === 'string' || body.source instanceof Uint8Array ? body.source : undefined;
}

// ---- the engine ----

/** What the engine has by itself: it begins small. */
const OWN_YOUNG_SPACE_MB = 0;
/** A thread that does not get a processor in this time begins with little room, and the engine lets it grow. */
const THREAD_WAIT_MAX_MS = 100;
/** Between two looks. */
const THREAD_LOOK_MS = 0.2;
/** From the moment when a thread knows its limits until its engine has read the flags: 1 to 3 ms were measured. */
const FLAGS_READ_MS = 8;

/**
 * Begins a thread with this much room for young objects; there is no option of a thread for it. Waits some ms: the flag is set
 * back as soon as the engine of the thread has read it, since with other flags the engine takes no code that was compiled before, be it
 * of Node itself, and a thread begins 40 ms later.
 */
export function beginWithYoungSpace(megabytes: number, begin: () => Worker): Worker {
  setLeastYoungSpace(megabytes);
  try {
    const thread = begin();
    const cell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const deadline = performance.now() + THREAD_WAIT_MAX_MS;
    // below 0 until the thread runs
    while ((thread.resourceLimits?.codeRangeSizeMb ?? 0) < 0 && performance.now() < deadline)
      Atomics.wait(cell, 0, 0, THREAD_LOOK_MS);
    Atomics.wait(cell, 0, 0, FLAGS_READ_MS);
    return thread;
  } finally {
    setLeastYoungSpace(OWN_YOUNG_SPACE_MB);
  }
}

function setLeastYoungSpace(megabytes: number): void {
  setFlagsFromString(`--min-semi-space-size=${megabytes}`);
}
