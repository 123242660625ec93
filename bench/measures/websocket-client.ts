/** The client of the WebSocket measures: opens sockets, and keeps one message under way on each (RFC 6455). */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ServerProcess } from '../server-process.ts';

/** Limit for one answer, so that a server that does not answer cannot block the bench. */
const ANSWER_TIMEOUT_MS = 15_000;
const FRAME_HEAD_BYTES = 2;
/** Payloads below this have their length in seven bits. */
const PAYLOAD_BYTES_MAX = 125;
const MASK = [0x12, 0x34, 0x56, 0x78] as const;

/** Opens a WebSocket with a handler of the bench; `ca`: over TLS. */
export async function openWebSocket(server: ServerProcess, path: string, ca?: string): Promise<Socket> {
  const host = '127.0.0.1';
  const socket =
    ca === undefined
      ? connectTcp({ host, port: server.plainPort, noDelay: true })
      : connectTls({ host, port: server.port, ca, ALPNProtocols: ['http/1.1'] });
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  );
  const [head] = (await once(socket, 'data', { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })) as [Buffer];
  if (!head.toString('latin1').startsWith('HTTP/1.1 101 ')) throw new Error(`Not answered with 101: ${head}`);
  socket.on('error', () => undefined);
  return socket;
}

/** Sends messages of this size on all sockets, on each the next when the echo of the last has come. */
export class EchoLoad {
  readonly #sockets: readonly Socket[];
  readonly #frame: Buffer;
  readonly #echoBytes: number;
  #left = 0;
  #underWay = 0;
  #finish: ((error?: Error) => void) | undefined;

  constructor(sockets: readonly Socket[], payloadBytes: number) {
    if (payloadBytes > PAYLOAD_BYTES_MAX) throw new Error(`${payloadBytes} bytes need a longer head`);
    this.#sockets = sockets;
    this.#echoBytes = FRAME_HEAD_BYTES + payloadBytes;
    const payload = Buffer.from(
      Array.from({ length: payloadBytes }, (_, i) => 0x61 ^ (MASK[i % 4] as number)),
    );
    this.#frame = Buffer.concat([Buffer.from([0x81, 0x80 | payloadBytes, ...MASK]), payload]);
    for (const socket of sockets) {
      let received = 0;
      socket.on('data', (chunk: Buffer) => {
        received += chunk.length;
        for (; received >= this.#echoBytes; received -= this.#echoBytes) this.#take(socket);
      });
      socket.once('close', () => this.#finish?.(new Error('The server closed a WebSocket')));
    }
  }

  /** Resolves when so many messages have come back. */
  run(count: number): Promise<void> {
    this.#left = count;
    return new Promise((resolve, reject) => {
      this.#finish = (error) => {
        this.#finish = undefined;
        if (error === undefined) resolve();
        else reject(error);
      };
      for (const socket of this.#sockets) this.#send(socket);
    });
  }

  #send(socket: Socket): void {
    if (this.#left === 0) return;
    this.#left -= 1;
    this.#underWay += 1;
    socket.write(this.#frame);
  }

  #take(socket: Socket): void {
    this.#underWay -= 1;
    this.#send(socket);
    if (this.#underWay === 0) this.#finish?.();
  }
}
