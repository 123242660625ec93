/** Raw clients for tests: a TLS or TCP socket that sends any bytes, and a reader of HTTP/1 responses. */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** Longest time a test waits for bytes. */
const WAIT_MS = 60_000;
const FIRST_BYTES = 4096;

export interface RawResponse {
  readonly statusLine: string;
  readonly status: number;
  /** Lower-case names; repeated fields joined by `, `. */
  readonly headers: ReadonlyMap<string, string>;
  /** The head as received. */
  readonly head: string;
  readonly body: Buffer;
}

/** A socket with methods that wait for received bytes. */
export class RawClient {
  readonly socket: Socket;
  readonly #transport: Socket;
  /** Where received bytes are put. Those from `#from` to `#to` have not been taken; what lies before them is not written again. */
  #store: Buffer = Buffer.alloc(0);
  #from = 0;
  #to = 0;
  #closed = false;
  #wake: (() => void) | undefined;

  /** `transport`: the TCP socket below a TLS socket. */
  constructor(socket: Socket, transport: Socket = socket) {
    this.socket = socket;
    this.#transport = transport;
    transport.on('error', () => this.#wake?.());
    socket.on('data', (chunk: Buffer) => {
      this.#put(chunk);
      this.#wake?.();
    });
    socket.on('error', () => this.#wake?.());
    socket.on('close', () => {
      this.#closed = true;
      this.#wake?.();
    });
    socket.on('end', () => this.#wake?.());
  }

  /** True when the server has ended its side or the connection is gone. */
  get ended(): boolean {
    return this.#closed || this.socket.readableEnded;
  }

  get received(): Buffer {
    return this.#store.subarray(this.#from, this.#to);
  }

  /** Copies each byte a few times at most, however many pieces they come in. */
  #put(chunk: Buffer): void {
    if (this.#to + chunk.length > this.#store.length) {
      const { received } = this;
      this.#store = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, 2 * (received.length + chunk.length)));
      this.#store.set(received);
      [this.#from, this.#to] = [0, received.length];
    }
    this.#store.set(chunk, this.#to);
    this.#to += chunk.length;
  }

  #drop(size: number): void {
    this.#from += Math.min(size, this.#to - this.#from);
  }

  send(bytes: string | Uint8Array): void {
    if (typeof bytes === 'string') this.socket.write(bytes, 'latin1');
    else this.socket.write(bytes);
  }

  /** Waits until `condition` holds for what has been received. */
  async until(condition: (received: Buffer, ended: boolean) => boolean, what: string): Promise<void> {
    const deadline = Date.now() + WAIT_MS;
    while (!condition(this.received, this.ended)) {
      const left = deadline - Date.now();
      if (left <= 0 || this.#closed) {
        const seen = this.received.subarray(0, 300).toString('latin1');
        throw new Error(`Waited in vain for ${what}; received ${JSON.stringify(seen)}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Removes and returns everything received until the server ends its side. */
  async rest(): Promise<Buffer> {
    await this.until((_, ended) => ended, 'the end of the connection');
    const all = this.received;
    this.#drop(all.length);
    return all;
  }

  /** Reads one HTTP/1 response, informational ones included. `bodyless`: the response to a HEAD request. */
  async response(bodyless = false): Promise<RawResponse> {
    await this.until((received) => received.includes('\r\n\r\n'), 'a response head');
    const headEnd = this.received.indexOf('\r\n\r\n') + 4;
    const head = this.received.subarray(0, headEnd).toString('latin1');
    this.#drop(headEnd);
    const [statusLine = '', ...lines] = head.trimEnd().split('\r\n');
    const status = Number(statusLine.split(' ')[1]);
    const headers = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon).toLowerCase();
      const value = line.slice(colon + 1).trim();
      const present = headers.get(name);
      headers.set(name, present === undefined ? value : `${present}, ${value}`);
    }
    let body: Buffer = Buffer.alloc(0);
    if (!bodyless && status >= 200 && status !== 204 && status !== 304) {
      if (headers.get('transfer-encoding') === 'chunked') body = await this.#chunkedBody();
      else if (headers.get('content-length') !== undefined)
        body = await this.take(Number(headers.get('content-length')));
      else body = await this.rest();
    }
    return { statusLine, status, headers, head, body };
  }

  /** Removes and returns exactly `size` bytes. */
  async take(size: number): Promise<Buffer> {
    await this.until((received) => received.length >= size, `${size} bytes`);
    const taken = this.received.subarray(0, size);
    this.#drop(size);
    return taken;
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Resets the connection: the server notices it at once, while a normal end could be a client that still reads. */
  reset(): void {
    this.#transport.resetAndDestroy();
  }

  async #chunkedBody(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for (;;) {
      await this.until((received) => received.includes('\r\n'), 'a chunk size');
      const lineEnd = this.received.indexOf('\r\n');
      const size = Number.parseInt(this.received.subarray(0, lineEnd).toString('latin1'), 16);
      this.#drop(lineEnd + 2);
      if (size === 0) {
        // the trailer section ends with an empty line
        for (;;) {
          await this.until((received) => received.includes('\r\n'), 'the end of the trailers');
          const end = this.received.indexOf('\r\n');
          this.#drop(end + 2);
          if (end === 0) return Buffer.concat(chunks);
        }
      }
      chunks.push((await this.take(size + 2)).subarray(0, size));
    }
  }
}

/** Connects with TLS, offering `alpn`. */
export function connectSecure(port: number, alpn: readonly string[] = ['http/1.1']): Promise<RawClient> {
  return new Promise((resolve, reject) => {
    const transport = connectTcp({ port, host: '127.0.0.1' });
    transport.once('error', reject);
    const socket = connectTls({
      socket: transport,
      servername: 'localhost',
      rejectUnauthorized: false,
      ALPNProtocols: [...alpn],
    });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      socket.removeListener('error', reject);
      transport.removeListener('error', reject);
      resolve(new RawClient(socket, transport));
    });
  });
}

/** Connects without TLS. */
export function connectPlain(port: number): Promise<RawClient> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ port, host: '127.0.0.1' });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.removeListener('error', reject);
      resolve(new RawClient(socket));
    });
  });
}
