/**
 * One request to the server, made by the cache: its answer goes to the client that has caused it, at that client's pace, and is kept where
 * that is allowed. Others may wait for it.
 *
 * What may be kept is received as fast as it comes, so that a slow client holds nobody up; what may not is held back as its client
 * takes it. Long because all ways in which an answer comes, fails and goes end one life.
 */
import type { Loans } from '../base/lent-content.ts';
import type { AnswerSource } from '../http/exchange/answer-source.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import { type Fields, fieldValue, parseContentLength } from '../http/semantics/fields.ts';
import { select } from '../http/semantics/representation.ts';
import { AnswerRules, speaksOf, validatorsOf } from './answer-rules.ts';
import { cacheClock } from './cache-clock.ts';
import { PASSED_BYTES_MAX, RECORDING_BYTES_MAX, STORED_BODY_BYTES_MAX } from './cache-limits.ts';
import { FillExchange, type FillSink } from './fill-exchange.ts';
import { fillFields } from './fill-request.ts';
import type { FillWaiters } from './fill-waiters.ts';
import type { MarkedAnswer } from './purge-marks.ts';
import type { RequestFacts } from './request-facts.ts';
import { selectedFields, sendStored } from './send-stored.ts';
import {
  CACHE_NAME,
  clientFields,
  comingRepresentation,
  renewedBody,
  StoredAnswer,
  storedBody,
} from './stored-answer.ts';

/** Failures of servers for which a stale answer may stand (RFC 5861 §4). */
const FAILURES: ReadonlySet<number> = new Set([500, 502, 503, 504]);

/** Bytes that are being received to be kept, for all fills of a worker. */
export interface Recording {
  bytes: number;
}

/** Why the server is asked, for Cache-Status (RFC 9211 §2.2). */
type ForwardReason = 'uri-miss' | 'vary-miss' | 'stale';

export interface FillRequest {
  /** The client; the answer is only kept where `isBackground`. */
  readonly exchange: Exchange;
  readonly isBackground: boolean;
  readonly source: AnswerSource;
  readonly facts: RequestFacts;
  /** By which its answer is found: source, scheme, host and target. */
  readonly key: string;
  /** It began as one without a client. */
  readonly countsAsBackground: boolean;
  /** By which others find it, who wait for it; undefined: nobody does. */
  readonly waitKey: string | undefined;
  /** What is kept, and has to be validated. */
  readonly stale: StoredAnswer | undefined;
  readonly reason: ForwardReason;
  /** Number of the last purge. */
  readonly purgesBefore: number;
  /** The store of all machines is asked before the server. */
  readonly asksStore: boolean;
  /** A client waits, for the first time. */
  readonly countsAsMiss: boolean;
}

/** What a fill needs of the cache. */
export interface FillOwner {
  readonly recording: Recording;
  readonly loans: Loans;
  /** The marks of an answer to it with these fields. */
  marksOf(request: FillRequest, fields: Fields): readonly number[];
  /** Keeps the answer; false: it was purged meanwhile. */
  keep(request: FillRequest, answer: StoredAnswer): boolean;
  /** The server has said that nothing has changed, and means something else than what is kept: ask once more. */
  retry(fill: Fill): void;
  /** Called once: what came of it, for those who wait. Undefined: every one has to ask for itself. */
  settled(fill: Fill, answer: StoredAnswer | undefined): void;
}

/** `open`: no head has come. `kept`: received to be kept. `passed`: for the client only. */
type State = 'open' | 'kept' | 'passed' | 'over';

export class Fill implements FillSink {
  readonly request: FillRequest;
  readonly exchange: FillExchange;
  readonly waiters: FillWaiters;
  readonly #owner: FillOwner;
  readonly #startedAt: number = cacheClock.now();
  /** Undefined: it has got its answer, or has gone. */
  #client: Exchange | undefined;
  #state: State = 'open';
  #isSettled = false;
  #rules: AnswerRules | undefined;
  #fields: Fields = [];
  #marks: readonly number[] = [];
  #declared: number | undefined;
  /** Of the body: all of them while it may be kept, else those that wait for the client. */
  #pieces: Uint8Array[] = [];
  /** Of `#pieces`, those that the client has got. */
  #given = 0;
  #bytes = 0;
  #waitsForRoom = false;
  #isComplete = false;
  #trailers: Fields | undefined;
  readonly #roomCame = (): void => {
    this.#waitsForRoom = false;
    this.#pump();
  };

  constructor(request: FillRequest, owner: FillOwner, waiters: FillWaiters) {
    this.request = request;
    this.#owner = owner;
    this.waiters = waiters;
    const { exchange: client, stale } = request;
    const conditions = stale === undefined ? [] : validatorsOf(stale.fields);
    this.exchange = new FillExchange(client, fillFields(client.fields, conditions), this);
    if (request.isBackground) return;
    this.#client = client;
    client.onAbort = () => this.#clientGone();
  }

  /** Nobody wants what it asks for any more, or all have it. */
  get isOver(): boolean {
    return this.#state === 'over';
  }

  /** Gives the client away, to whom nothing was sent: another request is made for it. */
  takeClient(): Exchange | undefined {
    return this.#release();
  }

  /** Another machine has kept what this asks for: the server is not asked. */
  found(answer: StoredAnswer): void {
    this.#leave();
    this.#answerBy(answer);
  }

  // ---- FillSink ----

  get hasRoom(): boolean {
    return this.#state !== 'passed' || this.#client === undefined || this.#bytes <= PASSED_BYTES_MAX;
  }

  informed(status: number, fields: Fields): void {
    const client = this.#client;
    if (client !== undefined && !client.headGiven) client.inform(status, fields);
  }

  gaveHead(status: number, fields: Fields): void {
    const { stale, facts } = this.request;
    if (stale !== undefined && status === 304) {
      if (speaksOf(fields, stale.fields)) this.#renew(stale, fields);
      else {
        this.#leave();
        this.#owner.retry(this);
      }
      return;
    }
    if (stale !== undefined && FAILURES.has(status) && stale.rules.masksFailure) {
      this.#leave();
      this.#answerBy(stale);
      return;
    }
    const rules = AnswerRules.judge(facts, { status, fields }, this.#startedAt);
    this.#fields = fields;
    this.#declared = parseContentLength(fieldValue(fields, 'content-length') ?? '');
    if (typeof rules !== 'string' && (this.#declared ?? 0) <= STORED_BODY_BYTES_MAX) {
      this.#rules = rules;
      this.#marks = this.#owner.marksOf(this.request, fields);
      this.#state = 'kept';
    } else {
      this.#state = 'passed';
      this.#settle(undefined);
    }
    this.#giveHead(status, fields);
    this.#stopUnwanted();
  }

  gave(bytes: Uint8Array): boolean {
    if (this.#state === 'over') return true;
    this.#pieces.push(Uint8Array.prototype.slice.call(bytes));
    this.#bytes += bytes.length;
    if (this.#state === 'kept') {
      const { recording } = this.#owner;
      recording.bytes += bytes.length;
      const isTooLong =
        this.#bytes > Math.min(STORED_BODY_BYTES_MAX, this.#declared ?? STORED_BODY_BYTES_MAX);
      if (isTooLong || recording.bytes > RECORDING_BYTES_MAX) this.#passOnly();
    }
    this.#pump();
    this.#stopUnwanted();
    return this.hasRoom;
  }

  ended(trailers: Fields | undefined): void {
    if (this.#state === 'over') return;
    if (this.#state === 'kept') {
      // what is shorter than it says was cut off
      if (this.#declared !== undefined && this.#bytes < this.#declared && this.exchange.status !== 204) {
        this.failed(502);
        return;
      }
      this.#keep();
    }
    this.#isComplete = true;
    this.#trailers = trailers;
    this.#pump();
  }

  failed(status: number): void {
    if (this.#state === 'over') return;
    const { stale } = this.request;
    const isOpen = this.#state === 'open';
    this.#leave();
    if (isOpen && stale?.rules.masksFailure === true) {
      this.#answerBy(stale);
      return;
    }
    const client = this.#release();
    this.#settle(undefined);
    // an answer that has begun breaks off, so that it never looks whole
    client?.reset(status);
  }

  // ---- inside ----

  /** Nothing has changed: what is kept is as good as new. */
  #renew(stale: StoredAnswer, fields: Fields): void {
    this.#leave();
    const { facts, key, purgesBefore } = this.request;
    const { status, compression } = stale;
    const all = stale.renewed(fields);
    const rules = AnswerRules.judge(facts, { status, fields: all }, this.#startedAt);
    const isKept = typeof rules !== 'string';
    const marked: MarkedAnswer = { marks: stale.marked.marks, purgesBefore, askedAt: this.#startedAt };
    const parts = {
      status,
      fields: all,
      body: renewedBody(stale.body, this.#owner.loans),
      marked,
      compression,
    };
    const answer = new StoredAnswer({ ...parts, rules: isKept ? rules : stale.rules }, key);
    const isShared = isKept && this.#owner.keep(this.request, answer);
    const client = this.#release();
    const now = cacheClock.now();
    if (client !== undefined) sendStored(client, answer, facts.isConditional, now, 'revalidated');
    this.#settle(isShared ? answer : undefined);
  }

  /** Its client and those who wait get what is kept. */
  #answerBy(answer: StoredAnswer): void {
    const client = this.#release();
    if (client !== undefined) sendStored(client, answer, this.request.facts.isConditional, cacheClock.now());
    this.#settle(answer);
  }

  #giveHead(status: number, given: Fields): void {
    const client = this.#client;
    if (client === undefined) return;
    this.#adopt(client);
    const isKept = this.#state === 'kept';
    const { facts, reason } = this.request;
    client.cacheOutcome = reason === 'stale' ? 'expired' : 'miss';
    const fields = clientFields(given);
    fields.push(
      'cache-status',
      `${CACHE_NAME}; fwd=${reason}; fwd-status=${status}${isKept ? '; stored' : ''}`,
    );
    if (facts.isConditional && status === 200) {
      const selection = select(client.method, client.fields, comingRepresentation(given));
      if (selection.status === 304 || selection.status === 412) {
        this.#release();
        client.head(selection.status, selectedFields(fields, selection, 0));
        client.end();
        return;
      }
    }
    if (this.exchange.reason !== undefined) client.reason = this.exchange.reason;
    if (client.method === 'HEAD') {
      this.#release();
      client.head(status, fields);
      client.end();
      return;
    }
    client.head(status, fields);
    client.flush();
  }

  /** Gives the client what it has room for. */
  #pump(): void {
    const client = this.#client;
    if (client === undefined || this.#waitsForRoom) return;
    const isPassed = this.#state === 'passed';
    while (this.#given < this.#pieces.length) {
      const piece = this.#pieces[this.#given] as Uint8Array;
      this.#given += 1;
      if (isPassed) this.#bytes -= piece.length;
      const hasRoom = client.writeOwned === undefined ? client.write(piece) : client.writeOwned(piece);
      if (hasRoom || client.isFull !== true) continue;
      this.#waitsForRoom = true;
      client.whenDrained(this.#roomCame);
      break;
    }
    if (isPassed) {
      this.#pieces = this.#given === this.#pieces.length ? [] : this.#pieces.slice(this.#given);
      this.#given = 0;
      if (this.hasRoom) this.exchange.tellRoom();
    }
    if (this.#waitsForRoom) return;
    if (!this.#isComplete) {
      client.flush();
      return;
    }
    this.#release();
    this.#leave();
    if (this.#trailers !== undefined) client.trailers(this.#trailers);
    client.end();
  }

  /** The whole answer is there. */
  #keep(): void {
    const { key, purgesBefore } = this.request;
    const { loans } = this.#owner;
    this.#giveBudgetBack();
    this.#state = 'passed';
    const answer = new StoredAnswer(
      {
        status: this.exchange.status,
        fields: this.#fields,
        body: storedBody(this.#pieces, this.#bytes, loans),
        rules: this.#rules as AnswerRules,
        marked: { marks: this.#marks, purgesBefore, askedAt: this.#startedAt },
        compression: this.exchange.compression,
      },
      key,
    );
    // what the client has got already need not be held for it
    for (let i = 0; i < this.#given; i++) this.#bytes -= (this.#pieces[i] as Uint8Array).length;
    const isShared = this.#owner.keep(this.request, answer) && answer.rules.isReusable;
    this.#settle(isShared ? answer : undefined);
  }

  /** It is too long, or too much is being received: from now on it is its client's only. */
  #passOnly(): void {
    this.#giveBudgetBack();
    for (let i = 0; i < this.#given; i++) this.#bytes -= (this.#pieces[i] as Uint8Array).length;
    this.#pieces = this.#pieces.slice(this.#given);
    this.#given = 0;
    this.#state = 'passed';
    this.#settle(undefined);
  }

  #giveBudgetBack(): void {
    if (this.#state === 'kept') this.#owner.recording.bytes -= this.#bytes;
  }

  #clientGone(): void {
    this.#client?.cancelDrained(this.#roomCame);
    this.#client = undefined;
    // a client that goes at once must not make the server work on, unless somebody waits for that
    if (this.#state !== 'kept' && this.waiters.size === 0) this.#giveUp();
  }

  /** Nobody gets what comes, and it is not kept. */
  #stopUnwanted(): void {
    if (this.#state === 'passed' && this.#client === undefined) this.#giveUp();
  }

  #giveUp(): void {
    if (this.#isComplete) return;
    this.#leave();
    this.#settle(undefined);
    // whoever answers may be in the middle of a call
    process.nextTick(() => this.exchange.giveUp());
  }

  /** Nothing more is taken of what the server sends. */
  #leave(): void {
    this.#giveBudgetBack();
    this.#state = 'over';
    this.#pieces = [];
  }

  /** The client, which is not ours any more. */
  #release(): Exchange | undefined {
    const client = this.#client;
    if (client === undefined) return undefined;
    this.#client = undefined;
    client.onAbort = undefined;
    if (this.#waitsForRoom) client.cancelDrained(this.#roomCame);
    this.#adopt(client);
    return client;
  }

  /** The log speaks of the client's exchange as of this one. */
  #adopt(client: Exchange): void {
    const { answeredBy, upstream, compression } = this.exchange;
    client.answeredBy ??= answeredBy;
    client.upstream = upstream;
    if (compression !== undefined && !client.headGiven) client.compression = compression;
  }

  #settle(answer: StoredAnswer | undefined): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#owner.settled(this, answer);
  }
}
