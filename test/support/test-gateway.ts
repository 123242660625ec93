/**
 * Runs the gateway with the Lua scripts of a test, as a process or inside the test's, and clients that send requests over HTTP/1.1 and HTTP/2.
 *
 * Long because clients of both protocols give one kind of answer.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import {
  type ClientHttp2Session,
  type ClientSessionOptions,
  connect as connectHttp2,
  type SecureClientSessionOptions,
} from 'node:http2';
import { Agent, type RequestOptions, request } from 'node:https';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { CounterName } from '../../src/metrics/worker-metrics.ts';
import { atEndOfFile } from './leftovers.ts';
import { LocalGateway } from './local-gateway.ts';
import { GatewayFolder, GatewayProcess, type RunningGateway } from './run-gateway.ts';

/** Longest wait of a test, sufficient on a busy machine. */
export const WAIT_MAX_MS = 60_000;
/** Below the idle timeout of 30 s: an answer that waits for the idle timeout of a connection takes longer. */
export const PROMPT_MS = 25_000;

export type ClientProtocol = 'h1' | 'h2';
export const PROTOCOLS: readonly ClientProtocol[] = ['h1', 'h2'];

export interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Uint8Array | string;
  /** HTTP/1: sends the body without a Content-Length. */
  readonly chunked?: boolean;
}

export interface Answer {
  /** 0: no head arrived. */
  readonly status: number;
  /** Lower-case names; repeated fields joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly informational: readonly number[];
  readonly body: Buffer;
  readonly text: string;
  /** True when the client can see that the response is incomplete. */
  readonly cut: boolean;
}

/** Gauges that are zero when no request is open. */
const REQUEST_GAUGES = ['exchanges', 'coroutines', 'files', 'pipes'] as const satisfies CounterName[];

const running = new Set<TestGateway>();
// stops the gateways of tests that have failed
atEndOfFile(() => Promise.all([...running].map((gateway) => gateway.stop())));

export class TestGateway {
  readonly folder: GatewayFolder;
  readonly running: RunningGateway;
  readonly #sessions = new Set<ClientHttp2Session>();
  /** What `ask` keeps open, where it may. */
  readonly #agent: Agent | false;
  #kept: Promise<ClientHttp2Session> | undefined;
  #statesAtStart = 0;

  private constructor(folder: GatewayFolder, running: RunningGateway, keeps: boolean) {
    this.folder = folder;
    this.running = running;
    this.#agent = keeps && new Agent({ keepAlive: true });
  }

  /** Serves the scripts (prefix and Lua text), inside the test's process unless `apart`, a launcher or a working folder is given. */
  static async start(
    scripts: Readonly<Record<string, string>>,
    options: {
      readonly workers?: number;
      /** Words of the command line; `$FOLDER` is replaced by the folder, as in scripts. */
      readonly words?: readonly string[];
      /** In a process of its own: the test looks at the process or ends it. */
      readonly apart?: boolean;
      /** `ask` keeps connections, as a handshake costs ten answers: not where they are counted, or several workers have to be met. */
      readonly keeps?: boolean;
      /** Words that say where its admin listener is; default: a socket in its folder. */
      readonly admin?: readonly string[];
      /** The text of a configuration file, which says where it listens. */
      readonly config?: string;
      /** Makes files that the scripts need when they are loaded. */
      readonly prepare?: (folder: GatewayFolder) => void;
      /** A program and its first arguments, which starts the command line that follows. */
      readonly launcher?: readonly string[];
      /** Working folder of the program; `$FOLDER` is replaced. Default: the working folder of the test. */
      readonly cwd?: string;
    } = {},
  ): Promise<TestGateway> {
    const folder = new GatewayFolder();
    options.prepare?.(folder);
    const workers = options.workers ?? 1;
    const mappings = Object.entries(scripts).flatMap(([prefix, text], i) => {
      const script = folder.file(`script-${i}.lua`);
      writeFileSync(script, text.replaceAll('$FOLDER', folder.path), 'latin1');
      return ['-l', prefix, script];
    });
    const usual =
      options.config === undefined
        ? usualWords(folder, workers)
        : [...certificateWords(folder, workers), '--config', writeConfig(folder, options.config)];
    const inFolder = (word: string): string => word.replaceAll('$FOLDER', folder.path);
    const all = [...usual, ...mappings, ...(options.words ?? []).map(inFolder)];
    const { launcher, cwd, apart = launcher !== undefined || cwd !== undefined } = options;
    const own = !apart
      ? new LocalGateway(all)
      : new GatewayProcess(folder, [...(options.admin?.map(inFolder) ?? folder.adminWords()), ...all], {
          ...(launcher === undefined ? {} : { launcher }),
          ...(cwd === undefined ? {} : { cwd: cwd.replaceAll('$FOLDER', folder.path) }),
        });
    const gateway = new TestGateway(folder, own, options.keeps ?? false);
    running.add(gateway);
    await own.ready();
    gateway.#statesAtStart = (await gateway.counters()).states;
    return gateway;
  }

  get port(): number {
    return this.running.port;
  }
  get log(): string {
    return this.running.stderr;
  }
  /** Its process, which `apart` asks for. */
  get process(): GatewayProcess {
    if (!(this.running instanceof GatewayProcess))
      throw new Error('The gateway runs inside the test process');
    return this.running;
  }
  get url(): string {
    return `https://localhost:${this.port}`;
  }

  async stop(): Promise<void> {
    running.delete(this);
    for (const session of this.#sessions) session.destroy();
    if (this.#agent !== false) this.#agent.destroy();
    await this.running.stop();
    this.folder.remove();
  }

  // requests ----

  /** Sends one request, over its own connection unless connections are kept. */
  async ask(protocol: ClientProtocol, path: string, options: Ask = {}): Promise<Answer> {
    if (protocol === 'h1') return await this.#askHttp1(path, options);
    if (this.#agent !== false) return await askSession(await this.#keptSession(), path, options);
    const session = await this.session();
    try {
      return await askSession(session, path, options);
    } finally {
      session.destroy();
    }
  }

  async #keptSession(): Promise<ClientHttp2Session> {
    const kept = await this.#kept;
    if (kept !== undefined && !kept.closed && !kept.destroyed) return kept;
    this.#kept = this.session();
    return await this.#kept;
  }

  /** Opens an HTTP/2 client, which refuses push unless `settings` differ. `stop` ends it at the latest. */
  session(options: ClientSessionOptions & SecureClientSessionOptions = {}): Promise<ClientHttp2Session> {
    return new Promise((resolve, reject) => {
      const ca = readFileSync(this.folder.certificate);
      const session = connectHttp2(this.url, { ca, settings: { enablePush: false }, ...options });
      this.#sessions.add(session);
      session.once('close', () => this.#sessions.delete(session));
      session.once('error', reject);
      session.once('remoteSettings', () => {
        session.on('error', () => undefined);
        resolve(session);
      });
    });
  }

  /** Opens a TLS connection with the protocol `alpn`. */
  connect(alpn: 'h2' | 'http/1.1' = 'http/1.1'): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const ca = readFileSync(this.folder.certificate);
      const options = {
        host: '127.0.0.1',
        servername: 'localhost',
        port: this.port,
        ca,
        ALPNProtocols: [alpn],
      };
      const socket = connectTls(options, () => {
        socket.off('error', reject);
        socket.on('error', () => undefined);
        resolve(socket);
      });
      socket.once('error', reject);
    });
  }

  /**
   * Sends the bytes over TLS and returns everything received until the gateway closes; the last request has to ask for the
   * close.
   */
  async talk(bytes: string): Promise<string> {
    const socket = await this.connect();
    const received = readToEnd(socket);
    socket.write(bytes, 'latin1');
    return await received;
  }

  #askHttp1(path: string, { method = 'GET', headers = {}, body, chunked = false }: Ask): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const all: Record<string, string | readonly string[]> = { ...headers };
      if (body !== undefined && !chunked) all['content-length'] = String(Buffer.from(body as string).length);
      const options: RequestOptions = {
        host: 'localhost',
        // else Node would take that of the Host field
        servername: 'localhost',
        port: this.port,
        path,
        method,
        headers: all as Record<string, string>,
        ca: readFileSync(this.folder.certificate),
        agent: this.#agent,
        timeout: WAIT_MAX_MS,
      };
      const informational: number[] = [];
      const call = request(options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', () => undefined);
        response.on('close', () => {
          const answered = Buffer.concat(chunks);
          resolve({
            status: response.statusCode ?? 0,
            headers: joinHeaders(response.headers),
            informational,
            body: answered,
            text: answered.toString('latin1'),
            cut: !response.complete,
          });
        });
      });
      call.on('information', (head) => informational.push(head.statusCode));
      call.on('timeout', () => call.destroy(new Error(`No answer to ${method} ${path}; ${this.log}`)));
      call.on('error', reject);
      call.end(body);
    });
  }

  // state of the process ----

  /** Resolves with the counters of all workers, added up. */
  async counters(): Promise<Record<CounterName, number>> {
    const { workers } = await this.running.counters();
    const total: Record<string, number> = {};
    for (const row of workers)
      for (const [name, value] of Object.entries(row)) total[name] = (total[name] ?? 0) + value;
    return total as Record<CounterName, number>;
  }

  /** Waits until no exchange, coroutine, file, process or reference of a request is left. */
  async untilIdle(): Promise<void> {
    await this.untilCounters((now) => this.#isIdle(now), 'all gauges are zero');
  }

  async untilCounters(holds: (now: Record<CounterName, number>) => boolean, what: string): Promise<void> {
    const limit = performance.now() + WAIT_MAX_MS;
    for (;;) {
      const now = await this.counters();
      if (holds(now)) return;
      if (performance.now() > limit) throw new Error(`Waited in vain until ${what}: ${JSON.stringify(now)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async untilLog(pattern: RegExp): Promise<void> {
    await this.running.until(() => pattern.test(this.log));
  }

  /** Resident memory of the process in bytes. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.process.pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  }

  #isIdle(now: Record<CounterName, number>): boolean {
    return REQUEST_GAUGES.every((name) => now[name] === 0) && now.states === this.#statesAtStart;
  }
}

/**
 * Returns the options for certificate, key, a loopback port that the kernel chooses, and the number of workers; the caller adds
 * scripts.
 */
export function usualWords(folder: GatewayFolder, workers = 1): string[] {
  return [...certificateWords(folder, workers), '-a', '127.0.0.1', '-p', '0'];
}

function certificateWords(folder: GatewayFolder, workers: number): string[] {
  return ['-c', folder.certificate, '-k', folder.key, '-w', String(workers)];
}

function writeConfig(folder: GatewayFolder, text: string): string {
  const file = folder.file('lgateway.toml');
  writeFileSync(file, text);
  return file;
}

/** Sends one request over a session; a reset makes the answer `cut`. */
export function askSession(session: ClientHttp2Session, path: string, options: Ask = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const stream = session.request(
      { ':method': method, ':path': path, ...headers },
      { endStream: body === undefined },
    );
    let answer: Readonly<Record<string, string>> = {};
    const informational: number[] = [];
    const chunks: Buffer[] = [];
    const limit = setTimeout(() => {
      reject(new Error(`No answer to ${method} ${path}`));
      stream.destroy();
    }, WAIT_MAX_MS);
    stream.on('headers', (head) => informational.push(Number(head[':status'])));
    stream.on('response', (head) => {
      answer = joinHeaders(head);
    });
    let ended = false;
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      ended = true;
    });
    stream.on('error', () => undefined);
    stream.on('close', () => {
      clearTimeout(limit);
      const answered = Buffer.concat(chunks);
      resolve({
        status: Number(answer[':status'] ?? 0),
        headers: answer,
        informational,
        body: answered,
        text: answered.toString('latin1'),
        cut: !ended || stream.rstCode !== 0,
      });
    });
    if (body !== undefined) stream.end(body);
  });
}

/** Resolves with everything that a socket receives until its end, as a byte string. */
export function readToEnd(socket: TLSSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const limit = setTimeout(() => {
      reject(new Error(`The connection stays open after ${JSON.stringify(text.slice(0, 2000))}`));
      socket.destroy();
    }, WAIT_MAX_MS);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('close', () => {
      clearTimeout(limit);
      resolve(text);
    });
  });
}

/** Resolves when the received bytes match; other listeners of the caller also get the bytes. */
export function untilReceived(socket: TLSSocket, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const fail = (): void =>
      reject(new Error(`Waited in vain for ${pattern}: ${JSON.stringify(text.slice(0, 2000))}`));
    const limit = setTimeout(fail, WAIT_MAX_MS);
    const take = (chunk: Buffer | string): void => {
      text += typeof chunk === 'string' ? chunk : chunk.toString('latin1');
      if (!pattern.test(text)) return;
      clearTimeout(limit);
      socket.off('data', take);
      socket.off('close', fail);
      resolve(text);
    };
    socket.on('data', take);
    socket.once('close', fail);
  });
}

/** Rejects when the answer takes longer than `PROMPT_MS`. */
export async function promptly<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`No answer within ${PROMPT_MS} ms`)), PROMPT_MS);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

function joinHeaders(headers: object): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : String(value),
    ]),
  );
}
