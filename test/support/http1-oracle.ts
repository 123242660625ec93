/** Shows what node:http does with the bytes of a connection: its parser (llhttp) in strict mode, over a stream in memory. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Duplex } from 'node:stream';
import type { SeenRequest } from './http1-witness.ts';

export interface OracleOutcome {
  /** Requests whose bodies have ended correctly, in order. */
  readonly requests: SeenRequest[];
  /** The reason why the next request was refused: a code of llhttp, or `CONNECT`. Undefined: the connection ended normally. */
  fault: string | undefined;
}

/** The fault of a last request that is incomplete when all bytes are read. */
const UNFINISHED = 'unfinished';

/** Longest wait for the end of a connection in memory, sufficient on a busy machine. */
const END_WAIT_MS = 120_000;

/** A connection that has sent all of `bytes` and its end, and accepts every answer. */
class SentBytes extends Duplex {
  readonly outcome: OracleOutcome = { requests: [], fault: undefined };

  constructor(bytes: string) {
    super({ allowHalfOpen: true });
    this.push(Buffer.from(bytes, 'latin1'));
    this.push(null);
    // unread bytes may follow an answer that ends the connection
    this.on('finish', () => this.destroy());
    // Node skips a fault in the body of a request for an upgrade, and waits for the rest of the body
    this.on('end', () =>
      afterEvents(() => {
        if (!this.writableEnded) refuse(this, UNFINISHED);
      }),
    );
  }

  override _read(): void {}

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

export class Http1Oracle {
  readonly #server: Server;

  /** The parser has to accept a head of `headBytesMax`, because this comparison leaves limits out. */
  constructor(headBytesMax: number) {
    this.#server = createServer({
      insecureHTTPParser: false,
      maxHeaderSize: headBytesMax,
      requireHostHeader: false,
      headersTimeout: 0,
      requestTimeout: 0,
      keepAliveTimeout: 0,
    });
    this.#server.maxHeadersCount = 0;
    // lets a client that has ended its side get an answer; Node has this property in its server, but not in its manual
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    const take = (message: IncomingMessage, response: ServerResponse): void => collect(message, response);
    this.#server.on('request', take);
    this.#server.on('checkContinue', take);
    this.#server.on('checkExpectation', take);
    this.#server.on('connect', (_message: IncomingMessage, socket: Duplex) => refuse(socket, 'CONNECT'));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) =>
      refuse(socket, error.code ?? error.message),
    );
  }

  parse(bytes: string): Promise<OracleOutcome> {
    const sent = new SentBytes(bytes);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('node:http does not end the connection')), END_WAIT_MS);
      sent.on('error', () => undefined);
      sent.on('close', () => {
        clearTimeout(timer);
        resolve(sent.outcome);
      });
      this.#server.emit('connection', sent);
    });
  }
}

function outcomeOf(stream: unknown): OracleOutcome | undefined {
  return stream instanceof SentBytes ? stream.outcome : undefined;
}

function collect(message: IncomingMessage, response: ServerResponse): void {
  let body = '';
  message.setEncoding('latin1');
  message.on('error', () => undefined);
  message.on('data', (text: string) => {
    body += text;
  });
  message.on('end', () => {
    const { method = '', url: target = '', httpVersion, rawHeaders: fields, socket } = message;
    const authority = message.headers.host ?? '';
    const version = `HTTP/${httpVersion}`;
    outcomeOf(socket)?.requests.push({ method, target, version, authority, fields, body });
    response.writeHead(204);
    response.end();
  });
}

function refuse(stream: Duplex, fault: string): void {
  const outcome = outcomeOf(stream);
  // bytes after a request that ends the connection are no fault
  if (outcome !== undefined && fault !== 'HPE_CLOSED_CONNECTION') outcome.fault ??= fault;
  // the parser has finished the earlier requests, but their events have not been emitted yet
  afterEvents(() => stream.destroy());
}

/** Calls back after the events of the parsed bytes: Node emits them in this round of the event loop or in the next. */
function afterEvents(call: () => void): void {
  setImmediate(() => setImmediate(call));
}
