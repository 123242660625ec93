/** The body of an answer that another server is still sending: it stands behind a response until somebody takes it. */
import type { Exchange } from '../http/exchange/exchange.ts';

/** A class, so that it is told from streams. */
export abstract class LentBody {
  /** Gives all of it to the exchange, whose head was given, and ends that: no stream of the web stands between. */
  abstract giveTo(exchange: Exchange): void;
  /** For code that reads or changes it. */
  abstract stream(): ReadableStream<Uint8Array>;
}
