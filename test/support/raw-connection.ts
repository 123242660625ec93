/** A TLS client of HTTP/1.1 that sends given bytes unchanged and parses the responses. */
import { connect, type TLSSocket } from 'node:tls';

export interface RawAnswer {
  readonly head: string;
  readonly text: string;
}

export class RawConnection {
  readonly #socket: TLSSocket;
  #received = '';
  #wake: () => void = () => undefined;
  #isClosed = false;
  readonly closed: Promise<void>;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('error', () => undefined);
    socket.on('data', (text: string) => {
      this.#received += text;
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true;
        this.#wake();
        resolve();
      });
    });
  }

  send(bytes: string): void {
    this.#socket.write(bytes, 'latin1');
  }

  ask(bytes: string): Promise<RawAnswer> {
    this.send(bytes);
    return this.next();
  }

  /** Resolves with the next response; rejects when the connection ends before it is complete. */
  async next(): Promise<RawAnswer> {
    for (;;) {
      const answer = this.#take();
      if (answer !== undefined) return answer;
      if (this.#isClosed) throw new Error(`The connection ended behind ${JSON.stringify(this.#received)}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(): RawAnswer | undefined {
    const at = this.#received.indexOf('\r\n\r\n');
    if (at === -1) return undefined;
    const head = this.#received.slice(0, at);
    const rest = this.#received.slice(at + 4);
    const length = /^content-length: ([0-9]+)$/im.exec(head)?.[1];
    if (length !== undefined) {
      if (rest.length < Number(length)) return undefined;
      this.#received = rest.slice(Number(length));
      return { head, text: rest.slice(0, Number(length)) };
    }
    if (/^transfer-encoding: chunked$/im.test(head)) {
      const body = takeChunks(rest);
      if (body === undefined) return undefined;
      this.#received = body.rest;
      return { head, text: body.text };
    }
    if (!this.#isClosed) return undefined;
    this.#received = '';
    return { head, text: rest };
  }
}

function takeChunks(bytes: string): { readonly text: string; readonly rest: string } | undefined {
  let text = '';
  let at = 0;
  for (;;) {
    const line = bytes.indexOf('\r\n', at);
    if (line === -1) return undefined;
    const size = Number.parseInt(bytes.slice(at, line), 16);
    const end = line + 2 + size + 2;
    if (bytes.length < end) return undefined;
    text += bytes.slice(line + 2, line + 2 + size);
    at = end;
    if (size === 0) return { text, rest: bytes.slice(at) };
  }
}

/** Connects to a port of 127.0.0.1 without a check of the certificate. */
export function connectRaw(port: number): Promise<RawConnection> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
    });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      socket.off('error', reject);
      resolve(new RawConnection(socket));
    });
  });
}
