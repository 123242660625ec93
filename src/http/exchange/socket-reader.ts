/** Hands on what sockets receive, through one buffer for all of them, so that a read allocates nothing. */
import type { Socket } from 'node:net';
import { readInto } from '../../native/node-internals.ts';

/** What one read may bring. */
const READ_BYTES = 64 * 1024;

/** Lent to one `take` at a time: reads never nest. */
const shared: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);

/**
 * Calls `take` with all that comes from now on, and with what the socket holds already. The bytes are the caller's only
 * until `take` returns.
 *
 * Where a release of Node cannot be told to read into the shared buffer, each read comes in a buffer of its own, by `data`.
 */
export function readSocket(socket: Socket, take: (bytes: Buffer) => void): void {
  socket.on('data', take);
  readsIntoShared(socket, take);
}

/** True when the socket could be told to read into the shared buffer. */
export function readsIntoShared(socket: Socket, take: (bytes: Buffer) => void): boolean {
  return readInto(socket, shared, (size) => {
    take(shared.subarray(0, size));
    return true;
  });
}
