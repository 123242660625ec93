/** One connection to one server of a store: the greeting, commands that leave together, and replies in their order. */
import type { Socket } from 'node:net';
import type { GatewayError } from '../base/errors.ts';
import type { StoreAddress, StoreNode } from '../base/store-address.ts';
import { checkGreeting, type Greeting, greetingOf } from './greeting.ts';
import { type Command, command } from './resp-command.ts';
import { ProtocolError, RespParser } from './resp-parser.ts';
import { type Reply, ReplyError } from './resp-reply.ts';
import type { StoreCall } from './store-call.ts';
import { CONNECT_TIMEOUT_MS, SILENCE_MS } from './store-limits.ts';
import { explainSocketError, openStoreSocket, type StoreTls } from './store-socket.ts';

export interface ConnectionOptions {
  readonly address: StoreAddress;
  readonly node: StoreNode;
  readonly tls: StoreTls | undefined;
  /** The greeting went well: calls may be sent. */
  ready(greeting: Greeting): void;
  /** Once, at the end, whatever has ended it. `isConfiguration`: it will be the same next time. */
  closed(reason: string, isConfiguration: boolean): void;
  /** Keys that have changed; null: any may have. */
  invalidated(keys: readonly Reply[] | null): void;
  /** What somebody has published to a channel that this connection has subscribed to. */
  message?(channel: string, bytes: Buffer): void;
  /** The server has ended a subscription, as the channel's slot is another's now. */
  unsubscribed?(channel: string): void;
  /** A call was refused, of which its caller hears, too. */
  refused(error: ReplyError): void;
}

const PING: Command = command('PING');

/** What is not waited for. */
type Waiting = StoreCall | undefined;

export class StoreConnection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  /** Those whose replies are awaited, from `#first` on. */
  #waiting: Waiting[] = [];
  #first = 0;
  /** Written at the end of this turn. */
  #out: (string | Uint8Array)[] = [];
  #text = '';
  #isFlushPlanned = false;
  #isClosed = false;
  #heardAt: number = performance.now();
  /** Since `ping` was called last. */
  #isHeard = true;
  #silentTimes = 0;
  readonly #timer: NodeJS.Timeout;
  /** The greeting's replies are taken by it. */
  #greeting: Reply[] | undefined = [];
  readonly #greetingLength: number;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { address, node, tls } = options;
    const parser = new RespParser({
      reply: (reply) => this.#take(reply),
      push: (values) => this.#takePush(values),
    });
    this.#socket = openStoreSocket(node, tls, this.#flush, (bytes) => {
      this.#heardAt = performance.now();
      this.#isHeard = true;
      try {
        parser.take(bytes);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.close(
          `it speaks no RESP, the protocol of Redis: ${error.message}`,
          this.#greeting !== undefined,
        );
      }
    });
    this.#socket.on('error', (error) => this.close(explainSocketError(error, tls !== undefined)));
    this.#socket.on('close', () => this.close('it has closed the connection'));
    const hint = tls === undefined ? '' : '; a server without TLS wants redis://';
    this.#timer = setTimeout(
      () => this.close(`it has not greeted within ${CONNECT_TIMEOUT_MS} ms${hint}`),
      CONNECT_TIMEOUT_MS,
    );
    const greeting = greetingOf(address);
    this.#greetingLength = greeting.length;
    for (const one of greeting) this.#write(one);
    this.#isFlushPlanned = true;
  }

  /** Calls whose replies are awaited. */
  get waiting(): number {
    return this.#waiting.length - this.#first;
  }

  /** Sends a call, after `ready`. */
  send(call: StoreCall): void {
    call.sentAt = performance.now();
    if (call.before !== undefined) this.#tell(call.before);
    this.#waiting.push(call);
    this.#write(call.command);
    this.#planFlush();
  }

  /** Asks whether the server lives, unless a reply is awaited anyway; ends the connection when two such times have passed in silence. */
  ping(): void {
    this.#silentTimes = this.#isHeard || this.waiting === 0 ? 0 : this.#silentTimes + 1;
    this.#isHeard = false;
    if (this.#silentTimes === 2) this.close('it does not answer');
    else if (this.waiting === 0) this.#tell(PING);
  }

  /** Ends the connection when the server has been silent for long after the time of a call that it owes an answer. */
  checkSilence(now: number): void {
    for (let i = this.#first; i < this.#waiting.length; i++) {
      const call = this.#waiting[i];
      if (call === undefined) continue;
      const silentMs = now - Math.max(this.#heardAt, call.sentAt);
      if (silentMs > call.timeoutMs + SILENCE_MS)
        this.close(`it has been silent for ${Math.round(silentMs)} ms`);
      return;
    }
  }

  /** Sends a command whose reply nobody waits for. */
  #tell(one: Command): void {
    this.#waiting.push(undefined);
    this.#write(one);
    this.#planFlush();
  }

  close(reason: string, isConfiguration = false): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#socket.destroy();
    this.#options.closed(
      this.#greeting !== undefined && reason === 'it has closed the connection'
        ? 'it has closed the connection without a greeting; a server with TLS wants rediss://'
        : reason,
      isConfiguration,
    );
  }

  /** Ends those whose time is over. */
  endOverdue(now: number, error: (call: StoreCall) => GatewayError): void {
    for (let i = this.#first; i < this.#waiting.length; i++) {
      const call = this.#waiting[i];
      if (call !== undefined && !call.isOver && now >= call.deadline) call.finish(error(call));
    }
  }

  /** Those that were sent and not answered; at the end of the connection. */
  takeWaiting(): StoreCall[] {
    const calls = this.#waiting.slice(this.#first).filter((one) => one !== undefined);
    this.#waiting = [];
    this.#first = 0;
    return calls;
  }

  #take(reply: Reply): void {
    if (this.#isClosed) return;
    if (this.#greeting !== undefined) {
      this.#greet(reply);
      return;
    }
    if (this.#first === this.#waiting.length) {
      this.close('it has answered without being asked');
      return;
    }
    const call = this.#waiting[this.#first];
    this.#waiting[this.#first] = undefined;
    this.#first += 1;
    if (this.#first === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#first = 0;
    } else if (this.#first === 1024) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    call?.finish(reply);
    if (reply instanceof ReplyError) this.#options.refused(reply);
  }

  #greet(reply: Reply): void {
    const replies = this.#greeting ?? [];
    replies.push(reply);
    const isLast = replies.length === this.#greetingLength;
    if (!isLast && !(reply instanceof ReplyError)) return;
    const outcome = checkGreeting(replies, this.#options.address);
    if ('fault' in outcome) {
      this.close(outcome.fault, outcome.isConfiguration);
      return;
    }
    this.#greeting = undefined;
    clearTimeout(this.#timer);
    this.#options.ready(outcome);
  }

  #takePush(values: readonly Reply[]): void {
    const [kind, subject, bytes] = values;
    switch (String(kind)) {
      case 'invalidate':
        this.#options.invalidated(Array.isArray(subject) ? (subject as readonly Reply[]) : null);
        return;
      case 'message':
      case 'smessage':
        if (Buffer.isBuffer(bytes)) this.#options.message?.(String(subject), bytes);
        return;
      case 'subscribe':
      case 'ssubscribe':
        // comes in the place of the command's reply
        this.#take(true);
        return;
      case 'sunsubscribe':
        this.#options.unsubscribed?.(String(subject));
        return;
    }
  }

  #write(one: Command): void {
    if (typeof one === 'string') {
      this.#text += one;
      return;
    }
    for (const piece of one) {
      if (typeof piece === 'string') this.#text += piece;
      else {
        this.#out.push(this.#text, piece);
        this.#text = '';
      }
    }
  }

  #planFlush(): void {
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    setImmediate(this.#flush);
  }

  /** Everything of this turn of the loop in one write: what the requests of all connections have asked for. */
  readonly #flush = (): void => {
    this.#isFlushPlanned = false;
    if (this.#isClosed) return;
    const socket = this.#socket;
    if (this.#out.length > 0) {
      socket.cork();
      for (const piece of this.#out) {
        if (typeof piece === 'string') socket.write(piece, 'latin1');
        else socket.write(piece);
      }
      socket.write(this.#text, 'latin1');
      socket.uncork();
      this.#out = [];
    } else socket.write(this.#text, 'latin1');
    this.#text = '';
  };
}
