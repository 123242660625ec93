/** Tells HTTP/2 with prior knowledge from HTTP/1 on a cleartext connection by its first bytes (RFC 9113 §3.3). */
import type { Socket } from 'node:net';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/**
 * Waits for enough bytes to decide, puts them back, and calls `chosen`. A socket that sends too few in `timeoutMs` is
 * destroyed.
 */
export function chooseByFirstBytes(
  socket: Socket,
  timeoutMs: number,
  chosen: (protocol: 'h2' | 'http/1') => void,
): void {
  let received = Buffer.alloc(0);
  const timer = setTimeout(destroy, timeoutMs);
  timer.unref();
  const settle = (): void => {
    clearTimeout(timer);
    socket.removeListener('readable', look);
    socket.removeListener('end', destroy);
    socket.removeListener('close', settle);
  };
  const look = (): void => {
    const bytes: unknown = socket.read();
    if (!(bytes instanceof Buffer)) return;
    received = Buffer.concat([received, bytes]);
    const size = Math.min(received.length, PREFACE.length);
    const matches = received.compare(PREFACE, 0, size, 0, size) === 0;
    if (matches && size < PREFACE.length) return;
    settle();
    socket.unshift(received);
    chosen(matches ? 'h2' : 'http/1');
  };
  function destroy(): void {
    socket.destroy();
  }
  socket.on('readable', look);
  socket.on('end', destroy);
  socket.on('close', settle);
}
