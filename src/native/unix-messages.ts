/** Messages between two processes over a pair of sockets, with a descriptor where one is sent along, through koffi. Every call waits. Linux only. */
import { createRequire } from 'node:module';
import { constants, endianness } from 'node:os';
import { GatewayError, messageOf } from '../base/errors.ts';

/** Numbers of Linux (bits/socket.h, asm-generic/socket.h). */
const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const INT_BYTES = 4;

interface Calls {
  socketpair(domain: number, type: number, protocol: number, pair: number[]): number;
  sendmsg(socket: number, message: object, flags: number): number;
  recvmsg(socket: number, message: object, flags: number): number;
  setsockopt(socket: number, level: number, name: number, value: Uint8Array, size: number): number;
  errno(): number;
  /** Bytes of size_t, which a control message begins with. */
  readonly sizeBytes: number;
}

let calls: Calls | undefined;

/** What has come in one message. */
export interface UnixMessage {
  readonly bytes: Buffer;
  /** The receiver's own, closed on exec; undefined = none came along. */
  readonly descriptor: number | undefined;
}

/** Two sockets that are closed on exec: what one sends, the other receives, message by message. Errors: LGW_NATIVE_UNAVAILABLE, LGW_DESCRIPTOR. */
export function openMessagePair(): readonly [number, number] {
  const { socketpair } = load();
  const pair = [-1, -1];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) !== 0)
    throw failure('open a pair of sockets');
  return [pair[0] ?? -1, pair[1] ?? -1];
}

/** A send or a receive that lasts longer fails with EAGAIN. Errors: LGW_DESCRIPTOR. */
export function limitWaits(socket: number, seconds: number): void {
  const { setsockopt, sizeBytes } = load();
  // struct timeval: seconds and microseconds, two of long
  const time = Buffer.alloc(2 * sizeBytes);
  writeSize(time, seconds, 0, sizeBytes);
  for (const option of [SO_RCVTIMEO, SO_SNDTIMEO])
    if (setsockopt(socket, SOL_SOCKET, option, time, time.length) !== 0)
      throw failure('limit waits on a socket');
}

/** The descriptor stays the caller's. Returns why nothing was sent (`EPIPE`: nobody is there any more); undefined: it was. */
export function sendMessage(socket: number, bytes: Uint8Array, descriptor?: number): string | undefined {
  const { sendmsg, sizeBytes } = load();
  const control = descriptor === undefined ? undefined : Buffer.alloc(controlSpace(sizeBytes));
  if (control !== undefined) {
    const head = controlHeadBytes(sizeBytes);
    writeSize(control, head + INT_BYTES, 0, sizeBytes);
    control.writeInt32LE(SOL_SOCKET, sizeBytes);
    control.writeInt32LE(SCM_RIGHTS, sizeBytes + INT_BYTES);
    control.writeInt32LE(descriptor ?? -1, head);
  }
  for (;;) {
    const sent = sendmsg(socket, messageOfParts(bytes, control), MSG_NOSIGNAL);
    if (sent >= 0) return undefined;
    const reason = errorName();
    if (reason !== 'EINTR') return reason;
  }
}

/** Waits for a message; what is longer than `bytesMax` is cut. Undefined: the other end is closed. A text: why none came (`EAGAIN`: not in time). */
export function receiveMessage(socket: number, bytesMax: number): UnixMessage | string | undefined {
  const { recvmsg, sizeBytes } = load();
  const bytes = Buffer.alloc(bytesMax);
  const control = Buffer.alloc(controlSpace(sizeBytes));
  for (;;) {
    const length = recvmsg(socket, messageOfParts(bytes, control), MSG_CMSG_CLOEXEC);
    if (length > 0)
      return { bytes: bytes.subarray(0, length), descriptor: readDescriptor(control, sizeBytes) };
    if (length === 0) return undefined;
    const reason = errorName();
    if (reason !== 'EINTR') return reason;
  }
}

function messageOfParts(bytes: Uint8Array, control: Buffer | undefined): object {
  return {
    name: null,
    nameSize: 0,
    parts: [{ base: bytes, length: bytes.length }],
    partCount: 1,
    control: control ?? null,
    controlSize: control?.length ?? 0,
    flags: 0,
  };
}

function readDescriptor(control: Buffer, sizeBytes: number): number | undefined {
  const isThere =
    control.readInt32LE(sizeBytes) === SOL_SOCKET &&
    control.readInt32LE(sizeBytes + INT_BYTES) === SCM_RIGHTS;
  return isThere ? control.readInt32LE(controlHeadBytes(sizeBytes)) : undefined;
}

/** CMSG_LEN(0) and CMSG_SPACE of one int. */
function controlHeadBytes(sizeBytes: number): number {
  return sizeBytes + 2 * INT_BYTES;
}

function controlSpace(sizeBytes: number): number {
  return controlHeadBytes(sizeBytes) + sizeBytes;
}

function writeSize(bytes: Buffer, value: number, at: number, sizeBytes: number): void {
  if (sizeBytes === 8) bytes.writeBigUInt64LE(BigInt(value), at);
  else bytes.writeUInt32LE(value, at);
}

function load(): Calls {
  calls ??= openLibrary();
  return calls;
}

function openLibrary(): Calls {
  if (process.platform !== 'linux' || endianness() !== 'LE')
    throw new GatewayError(
      'LGW_NATIVE_UNAVAILABLE',
      `Descriptors cannot be sent to other processes on ${process.platform}`,
    );
  try {
    const koffi: typeof import('koffi') = createRequire(import.meta.url)(
      `@koromix/koffi-${process.platform}-${process.arch}`,
    );
    const library = koffi.load(null);
    const part = koffi.struct({ base: 'uint8_t *', length: 'size_t' });
    const message = koffi.struct({
      name: 'uint8_t *',
      nameSize: 'uint32_t',
      parts: koffi.pointer(part),
      partCount: 'size_t',
      control: 'uint8_t *',
      controlSize: 'size_t',
      flags: 'int',
    });
    const pointer = koffi.pointer(message);
    return {
      socketpair: library.func('int socketpair(int domain, int type, int protocol, _Out_ int *pair)'),
      sendmsg: library.func('sendmsg', 'intptr_t', ['int', pointer, 'int']),
      recvmsg: library.func('recvmsg', 'intptr_t', ['int', pointer, 'int']),
      setsockopt: library.func(
        'int setsockopt(int socket, int level, int name, const uint8_t *value, uint32_t size)',
      ),
      errno: () => koffi.errno(),
      sizeBytes: koffi.sizeof('size_t'),
    };
  } catch (cause) {
    const text = `Descriptors cannot be sent to other processes, for koffi does not load (${messageOf(cause)})`;
    throw new GatewayError('LGW_NATIVE_UNAVAILABLE', text, { cause });
  }
}

function failure(what: string): GatewayError {
  return new GatewayError('LGW_DESCRIPTOR', `Cannot ${what}: ${errorName()}`);
}

function errorName(): string {
  const errno = load().errno();
  return Object.entries(constants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
}
