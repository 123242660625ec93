/** Tells by its first bytes what a connection speaks: TLS, HTTP/2 with prior knowledge (RFC 9113 §3.3), or HTTP/1. */
import type { Socket } from 'node:net';
import { type ClientHello, readClientHello } from './client-hello.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** `other`: nothing that begins like one of them. */
export type SpokenProtocol = 'h2' | 'http/1' | 'tls' | 'other';

/**
 * Waits for enough bytes to decide, puts them back, and calls `chosen`; with `readsHello`, for the first message of TLS, which it reads.
 * A socket that ends before is destroyed, and `saidNothing` called, as it is where somebody else destroys it: the caller sees to the time.
 */
export function chooseByFirstBytes(
  socket: Socket,
  readsHello: boolean,
  chosen: (protocol: SpokenProtocol, hello: ClientHello | undefined) => void,
  saidNothing: () => void,
): void {
  let received: Buffer = Buffer.alloc(0);
  const settle = (): void => {
    socket.removeListener('readable', look);
    socket.removeListener('end', giveUp);
    socket.removeListener('close', closed);
  };
  const closed = (): void => {
    settle();
    saidNothing();
  };
  const look = (): void => {
    const bytes: unknown = socket.read();
    if (!(bytes instanceof Buffer)) return;
    received = received.length === 0 ? bytes : Buffer.concat([received, bytes]);
    const protocol = protocolOf(received);
    if (protocol === undefined) return;
    const hello = readsHello && protocol === 'tls' ? readClientHello(received) : undefined;
    if (hello === 'more') return;
    settle();
    socket.unshift(received);
    chosen(protocol, hello);
  };
  function giveUp(): void {
    socket.destroy();
  }
  socket.on('readable', look);
  socket.on('end', giveUp);
  socket.on('close', closed);
}

/** Undefined: more bytes have to tell. */
function protocolOf(received: Buffer): SpokenProtocol | undefined {
  const [first = 0] = received;
  if (first === TLS_HANDSHAKE) return 'tls';
  const size = Math.min(received.length, PREFACE.length);
  if (received.compare(PREFACE, 0, size, 0, size) === 0) return size < PREFACE.length ? undefined : 'h2';
  // a method, or an empty line before it
  return (first > SPACE && first < DELETE) || first === CR || first === LF ? 'http/1' : 'other';
}

const LF = 10;
const CR = 13;
/** The type of the first record of a TLS connection (RFC 8446 §5.1). */
const TLS_HANDSHAKE = 22;
const SPACE = 32;
const DELETE = 127;
