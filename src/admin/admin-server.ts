/**
 * The admin listener: HTTP/1.1 without TLS for this machine alone, one request for each connection. What it reads is small and
 * bounded; what it may be asked for is in two tables.
 */
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { type AdminAddress, showAdminAddress } from '../base/admin-address.ts';
import { assert } from '../base/assert.ts';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { AdminGuard } from './admin-guard.ts';
import { asksForOpenMetrics } from './metric-text.ts';
import { SocketFile } from './socket-file.ts';

/** A scraper, a probe and an operator have one each; whoever holds them all up has the time below for it. */
const CONNECTIONS_MAX = 32;
/** Of these so many may not have asked yet: the oldest makes room for the next, so that silent ones keep nobody out. */
const SILENT_MAX = 16;
/** While more are open than the honest ones have, what is read is made anew once in so long: to make it costs more than to ask. */
const CROWD_MIN = 8;
const CROWD_MADE_MS = 1000;
/** Bytes of a head, and fields in it: those of a scraper have 600 bytes. */
const HEAD_BYTES_MAX: number = 8 * 1024;
const FIELDS_MAX = 64;
/** Time for the head, and for all of a request. */
const HEAD_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 10_000;
/** How often the two are looked at. */
const CHECK_MS = 1000;
/** Time in which a client takes something of an answer. */
const STALL_TIMEOUT_MS = 10_000;
/** Bytes of a body: no action reads one, and clients send an empty one. */
const BODY_BYTES_MAX = 1024;

export interface AdminAnswer {
  readonly status: number;
  readonly body: string;
  /** Default: plain text. */
  readonly type?: string;
  /** Methods, for the field `allow`. */
  readonly allow?: string;
}

/** Answers GET and HEAD; changes nothing, and asks no worker. */
export type AdminRead = (request: { readonly accept: string }) => AdminAnswer;
/** Answers POST; one runs at a time. */
export type AdminAction = () => Promise<AdminAnswer>;

export interface AdminServerOptions {
  readonly address: AdminAddress;
  /** By path. */
  readonly reads: ReadonlyMap<string, AdminRead>;
  /** By path; may be added to at any time. */
  readonly actions: ReadonlyMap<string, AdminAction>;
  /** What actions have to bring; called with the bound port before the first request. Undefined: the rights of the socket decide. */
  readonly makeToken: ((port: number) => string) | undefined;
  /** The socket file of another process that listens there gives way; default: it is a fault. */
  readonly replacesSocket?: boolean;
  /** A descriptor that listens at the address already, and becomes the server's. Undefined: the address is bound. */
  readonly descriptor?: number | undefined;
  readonly logger: Logger;
}

export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #server: Server;
  /** Those that have not asked yet, the oldest first. */
  readonly #silent = new Set<Socket>();
  #open = 0;
  /** What a crowd has read last, by path and form. */
  readonly #made = new Map<string, { readonly answer: AdminAnswer; readonly at: number }>();
  #guard: AdminGuard | undefined;
  /** Of a unix socket. */
  #file: SocketFile | undefined;
  #isActing = false;

  constructor(options: AdminServerOptions) {
    this.#options = options;
    this.#server = createServer(
      {
        maxHeaderSize: HEAD_BYTES_MAX,
        headersTimeout: HEAD_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        connectionsCheckingInterval: CHECK_MS,
      },
      (request, response) => this.#serve(request, response),
    );
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.maxHeadersCount = FIELDS_MAX;
    // what a client sends behind its request is not answered
    this.#server.maxRequestsPerSocket = 1;
    this.#server.timeout = STALL_TIMEOUT_MS;
    this.#server.on('connection', (socket: Socket) => this.#opened(socket));
  }

  /** Resolves to where it listens. Errors: LGW_LISTEN, and what `makeToken` throws. */
  async listen(): Promise<AdminAddress> {
    const { address, makeToken, descriptor } = this.#options;
    const failed = once(this.#server, 'error').then(([error]) => Promise.reject(error));
    failed.catch(() => undefined);
    try {
      const listening = once(this.#server, 'listening');
      if (descriptor !== undefined) this.#server.listen({ fd: descriptor });
      else if (address.kind === 'tcp') this.#server.listen({ host: address.address, port: address.port });
      else {
        this.#file = await SocketFile.make(address.path, this.#options.replacesSocket === true);
        listenPrivately(this.#server, this.#file.bindPath);
      }
      await Promise.race([listening, failed]);
      this.#file?.show();
    } catch (error) {
      this.#server.close();
      throw new GatewayError(
        'LGW_LISTEN',
        `Cannot listen on ${showAdminAddress(address)} (--admin): ${messageOf(error)}`,
        { cause: error },
      );
    }
    this.#server.on('error', (error) => this.#options.logger.error(`Admin listener: ${error.message}`));
    const bound = this.#server.address();
    const port = bound === null || typeof bound === 'string' ? 0 : bound.port;
    const where: AdminAddress = address.kind === 'tcp' ? { ...address, port } : address;
    this.#guard = new AdminGuard(where, makeToken?.(port));
    return where;
  }

  connectionCount(): Promise<number> {
    return promisify(this.#server.getConnections.bind(this.#server))();
  }

  /** Accepts no more connections, and removes the socket file. */
  leave(): void {
    this.#file?.remove();
    this.#server.close();
  }

  /** Another process has put its socket in the place of this one. */
  get isReplaced(): boolean {
    return this.#file?.isReplaced === true;
  }

  /** Ends all connections, and removes the socket file, unless it is another process's now. */
  close(): void {
    this.#file?.remove();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #opened(socket: Socket): void {
    this.#open += 1;
    this.#silent.add(socket);
    socket.once('close', () => {
      this.#open -= 1;
      this.#silent.delete(socket);
    });
    if (this.#silent.size <= SILENT_MAX) return;
    const [oldest] = this.#silent;
    oldest?.destroy();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.#silent.delete(request.socket);
    response.shouldKeepAlive = false;
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    const [path = ''] = (request.url ?? '').split('?', 1);
    const answer = this.#refusal(request) ?? this.#answer(path, request);
    if (answer === undefined) this.#act(path, request, response);
    else send(request, response, answer);
  }

  #refusal(request: IncomingMessage): AdminAnswer | undefined {
    // there from the moment when connections are accepted
    assert(this.#guard !== undefined, 'requests come after listen');
    const reason = this.#guard.whyRefused(request);
    return reason === undefined ? undefined : text(403, reason);
  }

  /** Undefined: an action that may begin. */
  #answer(path: string, request: IncomingMessage): AdminAnswer | undefined {
    const { reads, actions } = this.#options;
    const { method } = request;
    if (actions.has(path)) return this.#whyNoAction(path, request);
    const read = reads.get(path);
    if (read === undefined) return text(404, `There is no such path; there are ${this.#paths()}`);
    if (method !== 'GET' && method !== 'HEAD')
      return { ...text(405, `${path} answers GET and HEAD`), allow: 'GET, HEAD' };
    try {
      return this.#read(path, read, request.headers.accept ?? '');
    } catch (error) {
      return this.#failed(`GET ${path}`, error);
    }
  }

  #read(path: string, read: AdminRead, accept: string): AdminAnswer {
    if (this.#open <= CROWD_MIN) return read({ accept });
    const form = `${path} ${asksForOpenMetrics(accept) ? 'open' : 'classic'}`;
    const now = performance.now();
    const made = this.#made.get(form);
    if (made !== undefined && now - made.at < CROWD_MADE_MS) return made.answer;
    const answer = read({ accept });
    this.#made.set(form, { answer, at: now });
    return answer;
  }

  #paths(): string {
    const gets = [...this.#options.reads.keys()].map((path) => `GET ${path}`);
    return [...gets, ...[...this.#options.actions.keys()].map((path) => `POST ${path}`)].join(', ');
  }

  #whyNoAction(path: string, request: IncomingMessage): AdminAnswer | undefined {
    if (request.method !== 'POST') return { ...text(405, `${path} answers POST`), allow: 'POST' };
    const distrust = this.#guard?.whyNotTrusted(request);
    if (distrust !== undefined) return text(403, distrust);
    const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
    if (coding !== undefined || Number(length ?? 0) > BODY_BYTES_MAX)
      return text(413, `${path} reads no body, and takes ${BODY_BYTES_MAX} bytes at most`);
    return this.#isActing ? text(409, 'Another action is under way; try again when it has ended') : undefined;
  }

  #act(path: string, request: IncomingMessage, response: ServerResponse): void {
    const action = this.#options.actions.get(path);
    assert(action !== undefined, 'an action was found');
    this.#isActing = true;
    // an action takes its time, and nothing moves meanwhile
    request.socket.setTimeout(0);
    request.resume();
    void action()
      .catch((error: unknown) => this.#failed(`POST ${path}`, error))
      .then((answer) => {
        this.#isActing = false;
        request.socket.setTimeout(STALL_TIMEOUT_MS);
        send(request, response, answer);
      });
  }

  #failed(what: string, error: unknown): AdminAnswer {
    this.#options.logger.error(`${what} of the admin listener failed: ${messageOf(error)}`);
    return text(500, 'The log says what went wrong');
  }
}

/** A line of plain text. */
export function text(status: number, line: string): AdminAnswer {
  return { status, body: `${line}\n` };
}

function send(request: IncomingMessage, response: ServerResponse, answer: AdminAnswer): void {
  const bytes = Buffer.from(answer.body);
  if (answer.allow !== undefined) response.setHeader('allow', answer.allow);
  response.writeHead(answer.status, {
    'content-type': answer.type ?? 'text/plain; charset=utf-8',
    'content-length': bytes.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'",
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

/** The socket never is open to others, not even for a moment. */
function listenPrivately(server: Server, path: string): void {
  const before = process.umask(0o177);
  try {
    server.listen({ path });
  } finally {
    process.umask(before);
  }
  // where the file system does not go by the mask
  if (server.listening) chmodSync(path, 0o600);
}
