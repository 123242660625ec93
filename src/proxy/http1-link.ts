/**
 * One connection to an HTTP/1.x upstream: one call at a time, strictly, and whether it may serve another.
 *
 * Long because what is sent and what is received decide together whether the connection lives on.
 */
import type { Socket } from 'node:net';
import type { ReadableBytes } from '../base/byte-queue.ts';
import type { GatewayError } from '../base/errors.ts';
import { readSocket } from '../http/exchange/socket-reader.ts';
import { startReading, stopReading } from '../http/exchange/socket-reading.ts';
import { type Fields, hasListMember } from '../http/semantics/fields.ts';
import type { ProxyTarget } from '../mapping/proxy-target.ts';
import { writeAtOnce } from '../native/node-internals.ts';
import type { AnswerHead } from './answer-head.ts';
import { AnswerReader, type AnswerSink } from './answer-reader.ts';
import { callError, callErrorOf } from './call-error.ts';
import type { KnownAnswers } from './known-answers.ts';
import { destroyLate } from './late-destroy.ts';
import { QUIET_ROUNDS_MAX, UNSENT_BYTES_MAX } from './proxy-limits.ts';
import { formatLastChunk, formatRequestHead } from './request-text.ts';
import { BLOCK_CONTENT_BYTES, BLOCK_HEAD_BYTES, giveBlock, takeBlock } from './send-blocks.ts';
import type { CallListener, CallStage, UpstreamCall, UpstreamRequest } from './upstream.ts';

/** Who made the connection. */
export interface LinkOwner {
  readonly target: ProxyTarget;
  readonly known: KnownAnswers;
  /** It may serve another call. */
  free(link: Http1Link): void;
  /** It serves nobody any more. */
  closed(link: Http1Link): void;
}

export class Http1Link implements UpstreamCall, AnswerSink {
  readonly #socket: Socket;
  readonly #owner: LinkOwner;
  readonly #reader: AnswerReader;
  #isConnected = false;
  #isClosed = false;
  #request: UpstreamRequest | undefined;
  #listener: CallListener | undefined;
  /** The whole request has been given to the socket. */
  #isSent = false;
  /** The connection ends with its call. */
  #isLast = false;
  #isTunnel = false;
  #isPaused = false;
  /** The listener has been told to wait for room. */
  #isAwaited = false;
  /** Why the upstream takes nothing more; its answer may have come before that. */
  #failure: Error | undefined;
  /** Something has come in this round of the event loop; how many have gone by without. */
  #hasRead = false;
  #quietRounds = 0;
  /** It has served a call before. */
  isReused = false;
  /** The connection may stay open behind the answer. */
  #persistent = true;
  /** How long it may be idle, by what the upstream has said last, and since when it is: `performance.now`. */
  idleMs = 0;
  idleSince = 0;

  /** `connectEvent`: what the socket says when requests may be sent; undefined = they may at once. */
  constructor(socket: Socket, connectEvent: 'connect' | 'secureConnect' | undefined, owner: LinkOwner) {
    this.#socket = socket;
    this.#owner = owner;
    this.#reader = new AnswerReader(this, owner.known);
    socket.allowHalfOpen = true;
    destroyLate(socket, (error) => this.#readOn(error));
    if (connectEvent !== undefined) socket.once(connectEvent, () => this.#connected());
    socket.on('drain', () => this.#drained());
    socket.on('end', () => this.#inputEnded());
    socket.on('error', (error) => this.#fail(callErrorOf(owner.target, error)));
    socket.on('close', () => this.#fail(this.#closedEarly()));
    if (connectEvent === undefined) this.#connected();
  }

  // ---- UpstreamCall ----

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** `isLast`: the connection serves nobody behind this call. */
  begin(request: UpstreamRequest, listener: CallListener, isLast: boolean): void {
    this.#request = request;
    this.#listener = listener;
    this.#isLast = isLast;
    this.#isSent = !request.hasBody;
    this.#persistent = true;
    this.#isAwaited = false;
    this.#reader.begin(request.method);
    if (this.#isConnected) this.#sendHead(request);
  }

  send(queue: ReadableBytes): boolean {
    const socket = this.#socket;
    if (this.#failure !== undefined) return false;
    while (queue.length > 0 && socket.writableLength < UNSENT_BYTES_MAX) {
      const size = Math.min(queue.length, BLOCK_CONTENT_BYTES);
      const block = takeBlock();
      let start = BLOCK_HEAD_BYTES;
      let end = start + size;
      queue.takeInto(block, start, size);
      if (!this.#isTunnel && this.#request?.declaredLength === undefined) {
        const head = `${size.toString(16)}\r\n`;
        start -= head.length;
        block.write(head, start, 'latin1');
        block[end] = CR;
        block[end + 1] = LF;
        end += 2;
      }
      socket.write(block.subarray(start, end), (error) => {
        // after an error the system may still read the block
        if (!error) giveBlock(block);
      });
    }
    if (socket.writableLength < UNSENT_BYTES_MAX) return true;
    this.#isAwaited = true;
    return false;
  }

  endBody(trailers: Fields | undefined): void {
    if (this.#failure !== undefined) return;
    if (this.#isTunnel) {
      this.#socket.end();
      return;
    }
    this.#isSent = true;
    if (this.#request?.declaredLength === undefined) this.#socket.write(formatLastChunk(trailers), 'latin1');
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    startReading(this.#socket);
    if (this.#failure !== undefined) this.#look();
  }

  cancel(): void {
    this.#listener = undefined;
    this.close();
  }

  // ---- for the pool ----

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#reader.stop();
    this.#socket.destroy();
    this.#owner.closed(this);
  }

  // ---- AnswerSink ----

  informational({ status, fields }: AnswerHead): void {
    this.#listener?.informed(status, fields);
  }

  switching(head: AnswerHead): void {
    const { upgrade } = head;
    const offered = this.#request?.upgrade;
    if (upgrade === undefined || offered === undefined || !hasListMember(offered, upgrade.toLowerCase())) {
      this.malformed('it changes over to a protocol that nobody has asked for');
      return;
    }
    this.#isTunnel = true;
    this.#listener?.switched(upgrade, head.fields);
  }

  whole(head: AnswerHead, body: Buffer, isClean: boolean): void {
    this.#takeHead(head);
    const listener = this.#release(isClean);
    listener?.answeredWhole(head, body);
  }

  head(head: AnswerHead): void {
    this.#takeHead(head);
    this.#listener?.answered(head);
  }

  body(bytes: Buffer): void {
    if (this.#listener?.received(bytes) !== false || this.#isPaused || this.#isClosed) return;
    this.#isPaused = true;
    stopReading(this.#socket);
  }

  end(trailers: Fields | undefined, isClean: boolean): void {
    const listener = this.#release(isClean);
    listener?.ended(trailers);
  }

  unasked(): void {
    this.close();
  }

  malformed(reason: string): void {
    this.#fail(callError('invalid', this.#owner.target.name, `the answer is malformed: ${reason}`));
  }

  // ---- inside ----

  #connected(): void {
    this.#isConnected = true;
    readSocket(this.#socket, (bytes) => {
      this.#hasRead = true;
      this.#reader.receive(bytes);
    });
    const request = this.#request;
    if (request === undefined) return;
    this.#sendHead(request);
    this.#listener?.connected();
  }

  /** A write has failed. True: what has come before is read first, round by round, as long as there is more. */
  #readOn(error: Error): boolean {
    if (this.#isClosed || !this.#isConnected || this.#listener === undefined) return false;
    if (this.#failure !== undefined) return true;
    this.#failure = error;
    this.#look();
    return true;
  }

  /** Gives the rest up when nothing has come for some rounds; whoever holds the answer back has limits of his own. */
  #look(): void {
    setImmediate(() => {
      if (this.#isClosed || this.#isPaused) return;
      this.#quietRounds = this.#hasRead ? 0 : this.#quietRounds + 1;
      this.#hasRead = false;
      if (this.#quietRounds <= QUIET_ROUNDS_MAX) this.#look();
      else this.#fail(callErrorOf(this.#owner.target, this.#failure));
    });
  }

  #sendHead(request: UpstreamRequest): void {
    writeAtOnce(this.#socket, this.#isLast ? formatRequestHead(request, true) : sharedHeadOf(request));
  }

  #takeHead(head: AnswerHead): void {
    this.#persistent = head.persistent;
    this.idleMs = head.idleMs;
  }

  /** The answer has come whole: the connection goes to the next call, or ends. */
  #release(isClean: boolean): CallListener | undefined {
    const listener = this.#listener;
    this.#listener = undefined;
    this.#request = undefined;
    this.isReused = true;
    this.resume();
    // a body that is still being sent has an answer, and nobody wants its rest
    if (isClean && this.#persistent && !this.#isLast && this.#isSent && !this.#isClosed)
      this.#owner.free(this);
    else this.close();
    return listener;
  }

  #inputEnded(): void {
    if (this.#isClosed) return;
    if (this.#isTunnel) {
      const listener = this.#listener;
      this.#listener = undefined;
      listener?.ended(undefined);
      this.close();
      return;
    }
    if (this.#listener !== undefined && this.#reader.endsHere()) {
      this.#persistent = false;
      const listener = this.#release(false);
      listener?.ended(undefined);
      return;
    }
    this.#fail(this.#closedEarly());
  }

  #closedEarly(): GatewayError {
    const what = this.#reader.hasBegun ? 'in the middle of its answer' : 'before it answered';
    return callError('closed', this.#owner.target.name, `it closed the connection ${what}`);
  }

  #fail(error: GatewayError): void {
    const listener = this.#listener;
    this.#listener = undefined;
    const stage = this.#stage();
    this.close();
    listener?.failed(error, stage);
  }

  #stage(): CallStage {
    if (!this.#isConnected) return 'unsent';
    if (this.#reader.hasBegun) return 'answering';
    return this.isReused ? 'stale' : 'unanswered';
  }

  #drained(): void {
    if (!this.#isAwaited) return;
    this.#isAwaited = false;
    this.#listener?.drained();
  }
}

/** Made once for requests with equal heads. */
function sharedHeadOf(request: UpstreamRequest): string {
  const known = request.memo;
  if (typeof known === 'string') return known;
  const text = formatRequestHead(request, false);
  request.memo = text;
  return text;
}

const CR = 13;
const LF = 10;
