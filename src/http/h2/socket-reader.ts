/** Hands on what sockets receive, through one buffer for all of them, so that a read allocates nothing. */
import type { Socket } from 'node:net';

/** What one read may bring. */
const READ_BYTES = 64 * 1024;

/** Lent to one `take` at a time: reads never nest. */
const shared: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);

/**
 * Calls `take` with all that comes from now on, and with what the socket holds already. The bytes are the caller's only
 * until `take` returns.
 *
 * Sockets of `net.connect` can be told by the option `onread` to read into a buffer of ours; those of servers have the same
 * places for it but no option, so they are filled in here. Where a release of Node has no such places, each read comes in a
 * buffer of its own, by `data`.
 */
export function readSocket(socket: Socket, take: (bytes: Buffer) => void): void {
  socket.on('data', take);
  readsIntoShared(socket, take);
}

/** True when the socket could be told to read into the shared buffer. */
export function readsIntoShared(socket: Socket, take: (bytes: Buffer) => void): boolean {
  const places = findPlaces(socket);
  const handle: unknown = Reflect.get(socket, '_handle');
  if (places === undefined || !isHandle(handle)) return false;
  Reflect.set(socket, places.buffer, shared);
  Reflect.set(socket, places.callback, (bytesRead: number) => {
    take(shared.subarray(0, bytesRead));
    return true;
  });
  handle.useUserBuffer(shared);
  return true;
}

interface Places {
  readonly buffer: symbol;
  readonly callback: symbol;
}

interface Handle {
  useUserBuffer(buffer: Uint8Array): void;
}

/** Found once: all sockets share the symbols. */
let known: Places | undefined;

function findPlaces(socket: Socket): Places | undefined {
  if (known !== undefined && Reflect.get(socket, known.buffer) === null) return known;
  const own = (name: string): symbol | undefined =>
    Object.getOwnPropertySymbols(socket).find(
      (symbol) => symbol.description === name && Reflect.get(socket, symbol) === null,
    );
  const buffer = own('kBuffer');
  const callback = own('kBufferCb');
  // a function here would be asked for a buffer
  if (buffer === undefined || callback === undefined || own('kBufferGen') === undefined) return undefined;
  known = { buffer, callback };
  return known;
}

function isHandle(handle: unknown): handle is Handle {
  return (
    typeof handle === 'object' &&
    handle !== null &&
    'useUserBuffer' in handle &&
    typeof handle.useUserBuffer === 'function'
  );
}
