/** Node's HTTP/1 parser of one socket, fed by hand: what it sees, and when, is decided before. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

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
 * hears that the client has ended its side. Node's own way loses what follows a request with an Upgrade field, and ends our
 * side with the client's.
 */
export function attachParser(
  server: Server,
  socket: Socket,
  take: (chunk: Buffer) => void,
  ended: () => void,
): void {
  const before = new Set([...socket.listeners('data'), ...socket.listeners('end')]);
  server.emit('connection', socket);
  for (const event of ['data', 'end'] as const) {
    for (const listener of socket.listeners(event))
      if (!before.has(listener)) socket.removeListener(event, listener as () => void);
  }
  socket.on('data', take);
  socket.on('end', ended);
}

/** Parses bytes; an Error says what is wrong with them. */
export function parse(socket: Socket, bytes: Buffer): Error | undefined {
  const parser: unknown = Reflect.get(socket, 'parser');
  if (!isParser(parser)) return new Error('The socket has no parser any more');
  const result = parser.execute(bytes);
  return result instanceof Error ? result : undefined;
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

interface Parser {
  execute(bytes: Buffer): number | Error;
}

function isParser(value: unknown): value is Parser {
  return (
    typeof value === 'object' && value !== null && 'execute' in value && typeof value.execute === 'function'
  );
}
