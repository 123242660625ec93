/** The life of a session, from serving to its end: GOAWAY, errors of the connection, and clients that ask for too much. */
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
/** GOAWAY has been announced, so that what is on its way still gets in (RFC 9113 §6.8). */
const LEAVING = 1;
/** GOAWAY has been sent: streams that are open finish. */
const FINISHING = 2;
/** Our side is ended: whatever comes is dropped. */
const ENDING = 3;
type State = typeof SERVING | typeof LEAVING | typeof FINISHING | typeof ENDING;

/** What a session needs to say how it ended. */
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
  /** GOAWAY is announced, and its answer is waited for. */
  get isLeaving(): boolean {
    return this.#state === LEAVING;
  }
  /** The final GOAWAY has been sent: new streams come too late. */
  get isFinishing(): boolean {
    return this.#state >= FINISHING;
  }
  /** Whatever comes is dropped. */
  get isEnding(): boolean {
    return this.#state === ENDING;
  }

  // ---- the end ----

  /** Announces the end: what is open or on its way is served, then the connection closes. */
  close(): void {
    if (this.#state !== SERVING) return;
    this.#state = LEAVING;
    this.clock.closes();
    this.#output.goAway(STREAM_ID_MAX, ERROR_CODE.noError, '');
    // its answer tells that the client knows
    this.#output.ping(LEAVING_PING);
  }

  /** An answer to PING has come. */
  pingAnswered(bytes: Buffer, start: number, end: number): void {
    if (this.#state === LEAVING && LEAVING_PING.compare(bytes, start, end) === 0) this.finish();
  }

  /** Final GOAWAY: later streams are not served. */
  finish(): void {
    if (this.#state < FINISHING) {
      this.#state = FINISHING;
      this.#output.goAway(this.#streams.lastServedId, ERROR_CODE.noError, '');
    }
    this.streamEnded();
  }

  /** A stream has ended: was it the last? */
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

  // ---- what is too much ----

  /** A stream came to an untimely end through the client. */
  countReset(reason: string): void {
    if (!this.#abuse.countReset()) this.enhanceYourCalm(reason);
  }

  /** False: too many, and the connection has failed. */
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
