/** The states of a session from serving to its end: GOAWAY, connection errors, and clients that exceed an allowance. */
import type { Logger } from '../../base/logger.ts';
import type { AbuseLimits } from './abuse-limits.ts';
import { ERROR_CODE, errorCodeName, type H2ErrorCode } from './error-codes.ts';
import { STREAM_ID_MAX } from './frame-types.ts';
import type { SessionBodies } from './session-bodies.ts';
import { SessionClock } from './session-clock.ts';
import type { SessionOutput } from './session-output.ts';
import type { StreamTable } from './stream-table.ts';

/** Streams are served. */
const SERVING = 0;
/** A first GOAWAY announces the end: requests that are on their way are still served (RFC 9113 §6.8). */
const LEAVING = 1;
/** The final GOAWAY has been sent: open streams finish. */
const FINISHING = 2;
/** The server has ended its side: what the client sends is dropped. */
const ENDING = 3;
type State = typeof SERVING | typeof LEAVING | typeof FINISHING | typeof ENDING;

/** What a session needs to log how it ended. */
export interface SessionReport {
  readonly logger: Logger;
  readonly peerAddress: string;
}

export class SessionLife {
  readonly #output: SessionOutput;
  readonly #streams: StreamTable;
  readonly #bodies: SessionBodies;
  readonly #abuse: AbuseLimits;
  readonly #report: SessionReport;
  readonly clock: SessionClock = new SessionClock();
  #state: State = SERVING;
  /** The client has sent GOAWAY. */
  peerLeaves = false;

  constructor(
    output: SessionOutput,
    streams: StreamTable,
    bodies: SessionBodies,
    abuse: AbuseLimits,
    report: SessionReport,
  ) {
    this.#output = output;
    this.#streams = streams;
    this.#bodies = bodies;
    this.#abuse = abuse;
    this.#report = report;
  }

  get isServing(): boolean {
    return this.#state === SERVING;
  }
  /** The first GOAWAY has been sent, and the session waits for the answer to the PING behind it. */
  get isLeaving(): boolean {
    return this.#state === LEAVING;
  }
  /** The final GOAWAY has been sent: new streams come too late. */
  get isFinishing(): boolean {
    return this.#state >= FINISHING;
  }
  /** What the client sends is dropped. */
  get isEnding(): boolean {
    return this.#state === ENDING;
  }

  // ---- the end ----

  /** Announces the end: requests that are open or on their way are served, then the connection closes. */
  close(): void {
    if (this.#state !== SERVING) return;
    this.#state = LEAVING;
    this.clock.closes();
    this.#output.goAway(STREAM_ID_MAX, ERROR_CODE.noError, '');
    // the answer to this PING shows that the client has read GOAWAY
    this.#output.ping(LEAVING_PING);
  }

  /** The client has answered a PING. */
  pingAnswered(bytes: Buffer, start: number, end: number): void {
    if (this.#state === LEAVING && LEAVING_PING.compare(bytes, start, end) === 0) this.finish();
  }

  /** Sends the final GOAWAY: later streams are not served. */
  finish(): void {
    if (this.#state < FINISHING) {
      this.#state = FINISHING;
      this.#output.goAway(this.#streams.lastServedId, ERROR_CODE.noError, '');
    }
    this.streamEnded();
  }

  /** A stream has ended: ends the connection when it is finishing and this was the last stream. */
  streamEnded(): void {
    if (this.#state !== FINISHING || this.#streams.openCount > 0) return;
    this.#end();
    this.#output.end();
  }

  /** Ends the connection because of what the client did. */
  fail(code: H2ErrorCode, reason: string): void {
    if (this.#state === ENDING) return;
    const { logger, peerAddress } = this.#report;
    const facts = { peer: peerAddress, error: errorCodeName(code), reason };
    if (code === ERROR_CODE.enhanceYourCalm) logger.warn('HTTP/2 connection is cut off', facts);
    else logger.debug('HTTP/2 connection has failed', facts);
    this.#end();
    this.#output.goAway(this.#streams.lastServedId, code, reason);
    this.#cutStreams();
    this.#output.end();
  }

  /** The socket is closed. */
  gone(): void {
    this.#end();
    this.#output.drop();
    this.#cutStreams();
  }

  #end(): void {
    this.#state = ENDING;
    this.clock.closes();
    this.#bodies.end();
  }

  #cutStreams(): void {
    for (const stream of this.#streams.takeAll()) stream.cut();
  }

  // ---- allowances ----

  /** Counts a stream that was reset early because of the client. */
  countReset(reason: string): void {
    if (!this.#abuse.countReset()) this.enhanceYourCalm(reason);
  }

  /** False: the frames are too many, and the connection has failed. */
  countControlFrame(): boolean {
    if (this.#abuse.countControlFrame()) return true;
    this.enhanceYourCalm('too many frames that only steer the connection');
    return false;
  }

  countWindowUpdate(): boolean {
    if (this.#abuse.countWindowUpdate()) return true;
    this.enhanceYourCalm('too many WINDOW_UPDATE frames');
    return false;
  }

  countEmptyFrame(reason: string): boolean {
    if (this.#abuse.countEmptyFrame()) return true;
    this.enhanceYourCalm(reason);
    return false;
  }

  enhanceYourCalm(reason: string): void {
    this.fail(ERROR_CODE.enhanceYourCalm, reason);
  }
}

const LEAVING_PING: Buffer = Buffer.from('goodbye.', 'latin1');
