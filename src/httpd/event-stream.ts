/** The answer that is a stream of server-sent events, as its script holds it: what was sent, heartbeats, and its end. */
import type { ByteSink } from '../base/byte-stream.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import { HEARTBEAT } from '../http/semantics/event-stream.ts';
import type { Failure } from '../lua/push-failure.ts';
import type { LuaStream } from '../script/objects/lua-streams.ts';

/** A shorter text goes as a byte string, a longer one as bytes: the bound of a lone short write of an exchange. */
const TEXT_BYTES_MAX = 4 * 1024;

const ENDED: Failure = { message: 'The response has ended', luaCode: 'closed' };

export class EventStream implements LuaStream {
  // what it takes are events, and bytes have no ends of events
  readonly name = 'stream of events';
  readonly source = undefined;
  readonly sink: ByteSink | undefined = undefined;
  readonly exchange: Exchange;
  /** 0 = none. */
  readonly #heartbeatMs: number;
  #timer: NodeJS.Timeout | undefined;
  #sentAt: number = performance.now();
  #ended: (() => void) | undefined;

  /** `ended` is called once, when nothing more can be sent: by `close`, or by `stop`. */
  constructor(exchange: Exchange, heartbeatMs: number, ended: () => void) {
    this.exchange = exchange;
    this.#heartbeatMs = heartbeatMs;
    this.#ended = ended;
    if (heartbeatMs > 0) this.#beatIn(heartbeatMs);
  }

  /** Why nothing can be sent any more. */
  get failure(): Failure | undefined {
    return this.exchange.error ?? (this.exchange.finished ? ENDED : undefined);
  }

  /** True when the client has room for more: the text leaves with this turn, whatever is gathered or compressed on the way. */
  send(text: string): boolean {
    const { exchange } = this;
    this.#sentAt = performance.now();
    const room =
      text.length <= TEXT_BYTES_MAX && exchange.writeText !== undefined
        ? exchange.writeText(text)
        : exchange.write(Buffer.from(text, 'latin1'));
    exchange.flush();
    return room;
  }

  /** Ends the answer. */
  close(): void {
    this.stop();
    this.exchange.end();
  }

  /** No heartbeat follows: the run whose answer it is has ended. */
  stop(): void {
    clearTimeout(this.#timer);
    const ended = this.#ended;
    this.#ended = undefined;
    ended?.();
  }

  #beatIn(ms: number): void {
    this.#timer = setTimeout(() => this.#beat(), ms);
    this.#timer.unref();
  }

  #beat(): void {
    if (this.failure !== undefined) return;
    const silentMs = performance.now() - this.#sentAt;
    if (silentMs < this.#heartbeatMs) {
      this.#beatIn(Math.ceil(this.#heartbeatMs - silentMs));
      return;
    }
    // a client that does not read shows no life, and its clock runs
    if (this.exchange.isFull !== true) this.send(HEARTBEAT);
    this.#beatIn(this.#heartbeatMs);
  }
}
