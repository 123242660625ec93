/** Node's HTTP/1 parser of one socket, fed by hand: what it sees, and when, is decided before. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { joinParser } from '../../native/node-internals.ts';

/** A method that the parser knows and takes for nothing special, in place of those it does not know. */
const STAND_IN_METHOD = 'POST';
/** Methods that pass the parser as they are. It gives others a meaning (CONNECT, PRI, SOURCE), or refuses them. */
const PLAIN_METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
]);

/**
 * Joins `socket` to `server`, which makes requests of what is parsed, and takes over its input: `take` gets each chunk, `ended`
 * hears that the client has ended its side.
 */
export function attachParser(
  server: Server,
  socket: Socket,
  take: (chunk: Buffer) => void,
  ended: () => void,
): void {
  joinParser(server, socket);
  socket.on('data', take);
  socket.on('end', ended);
}

/** A head as the parser takes it: its method one it knows, its version HTTP/1.1 where it is a later one. */
export function parseable(head: Buffer, method: string, target: string, minor: number): Buffer {
  const lineEnd = head.indexOf('\r\n');
  const digit = head[lineEnd - 1];
  const isPlain = PLAIN_METHODS.has(method);
  if (isPlain && (digit === ZERO || digit === ONE)) return head;
  const line = `${isPlain ? method : STAND_IN_METHOD} ${target} HTTP/1.${minor}`;
  return Buffer.concat([Buffer.from(line, 'latin1'), head.subarray(lineEnd)]);
}

const ZERO = 48;
const ONE = 49;
