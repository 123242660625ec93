/** What node:http makes of the bytes of a connection: its parser (llhttp) in strict mode, over a stream in memory. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Duplex } from 'node:stream';
import type { SeenRequest } from './http1-witness.ts';

export interface OracleOutcome {
  /** Those whose bodies have ended as they should, in order. */
  readonly requests: SeenRequest[];
  /** Why what followed them was refused: llhttp's code, or `CONNECT`; undefined where the connection just ended. */
  fault: string | undefined;
}

/** The last request has not ended although all has been read. */
const UNFINISHED = 'unfinished';

/** Longest time that a connection in memory takes to end; on a busy machine, too. */
const END_WAIT_MS = 120_000;

/** A connection that has sent all of `bytes` and its end, and takes whatever comes back. */
class SentBytes extends Duplex {
  readonly outcome: OracleOutcome = { requests: [], fault: undefined };

  constructor(bytes: string) {
    super({ allowHalfOpen: true });
    this.push(Buffer.from(bytes, 'latin1'));
    this.push(null);
    // what is still to be read follows an answer that ends the connection
    this.on('finish', () => this.destroy());
    // node passes over a fault in the body of a request that asks for an upgrade, and waits for the rest of it
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

  /** A head of `headBytesMax` has to pass: limits are not what is compared. */
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
    // a client that has ended its side is answered; node has this in its server, and not in its manual
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
  // what follows a request that ends the connection is no fault
  if (outcome !== undefined && fault !== 'HPE_CLOSED_CONNECTION') outcome.fault ??= fault;
  // the requests before it have been parsed, and their ends are still to be told
  afterEvents(() => stream.destroy());
}

/** Calls back when the events of what has been parsed are over: they follow in the same round, or in the next. */
function afterEvents(call: () => void): void {
  setImmediate(() => setImmediate(call));
}
