/** A socket that stays open behind a failed write, so that what its peer had sent before can still be read. */
import type { Socket } from 'node:net';

/**
 * Node destroys a socket when a write fails, and with it what the system has received. A server that answers early and closes its connection makes the
 * next write fail (EPIPE, ECONNRESET), with its whole answer waiting to be read. `keeps`: called with such an error; true = the socket stays as it is, and
 * whoever called this destroys it.
 */
export function destroyLate(socket: Socket, keeps: (error: Error) => boolean): void {
  const destroy = socket.destroy.bind(socket);
  socket.destroy = (error?: Error) =>
    error !== undefined && isOfWrite(error) && keeps(error) ? socket : destroy(error);
}

function isOfWrite(error: NodeJS.ErrnoException): boolean {
  return error.syscall === 'write' || error.syscall === 'writev';
}
