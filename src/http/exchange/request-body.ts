/** The body of a request: bytes that arrived and were not read yet, bounded, with the wire held back meanwhile. */
import { ByteQueue } from '../../base/byte-queue.ts';
import type { GatewayError } from '../../base/errors.ts';
import type { Fields } from '../semantics/fields.ts';
import type { RequestBody } from './exchange.ts';
import { Waiters } from './waiters.ts';

/** Bytes that are expected to follow the first bytes of a body, at least. */
const EXPECTED_BYTES_MIN = 4 * 1024;
/** A chunk is kept as it is when the memory it lies in is no larger than this many times the chunk. */
const PINNED_FACTOR_MAX = 2;

/** How a body steers the wire it comes from. */
export interface BodyFlow {
  /** Bytes a body may hold ahead of its reader before the wire is told to pause. */
  readonly readAheadBytes: number;
  /** The budget of unread bodies is used up, and the connection has more of it than the least. */
  readonly isOverBudget: boolean;
  /** The body takes so many bytes of memory more, or less. */
  bodyHolds(bytes: number): void;
  /** The reader wants bytes for the first time: send 100 Continue where one is awaited. */
  startBody(): void;
  pauseBody(): void;
  resumeBody(): void;
  /** A reader has begun (true) or stopped (false) waiting for bytes. */
  bodyAwaited(awaited: boolean): void;
  /** The reader has no room for the body. True: the client has been told, and the exchange is over. */
  refuseBody(reason: GatewayError): boolean;
}

export class QueuedBody implements RequestBody {
  readonly queue: ByteQueue = new ByteQueue();
  readonly declaredLength: number | undefined;
  readonly #flow: BodyFlow;
  #ended: boolean;
  #error: GatewayError | undefined;
  #started = false;
  #paused = false;
  #wanted = 0;
  /** What the reader keeps beside the queue. */
  #heldBytes = 0;
  /** The memory that the flow has been told of. */
  #toldBytes = 0;
  #dropped = false;
  readonly #readers = new Waiters();
  /** Body bytes that have arrived so far, read or not. */
  bytesReceived = 0;
  trailers: Fields | undefined;
  taker: ((bytes: Uint8Array) => number) | undefined;

  constructor(flow: BodyFlow, declaredLength: number | undefined, ended: boolean) {
    this.#flow = flow;
    this.declaredLength = declaredLength;
    this.#ended = ended;
  }

  hold(bytes: number): boolean {
    this.#heldBytes += bytes;
    this.#tellMemory();
    return !this.#flow.isOverBudget;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get error(): GatewayError | undefined {
    return this.#error;
  }

  request(size: number, ready: () => void): void {
    const wanted = Math.max(1, size);
    // whoever wants more than another asks again
    this.#wanted = this.#readers.size === 0 ? wanted : Math.min(this.#wanted, wanted);
    this.#readers.add(ready);
    if (this.#ended || this.queue.length >= wanted) {
      process.nextTick(notifyReader, this);
      return;
    }
    this.#flow.bodyAwaited(true);
    if (!this.#started) {
      this.#started = true;
      this.#flow.startBody();
    }
    this.#resume();
  }

  cancelRequest(ready?: () => void): void {
    if (this.#readers.size === 0) return;
    this.#readers.remove(ready);
    if (this.#readers.size === 0) this.#noneWaits();
  }

  consumed(): void {
    if (this.#memory !== this.#toldBytes) this.#tellMemory();
    if (this.#paused && this.queue.length <= this.#flow.readAheadBytes / 2) this.#resume();
  }

  /** Nothing is left of the exchange: what was not read does not count any more. */
  drop(): void {
    this.#dropped = true;
    if (this.#toldBytes > 0) this.#flow.bodyHolds(-this.#toldBytes);
    this.#toldBytes = 0;
  }

  get expected(): number | undefined {
    if (this.declaredLength === undefined) return undefined;
    return Math.max(0, this.declaredLength - this.bytesReceived) + this.queue.length;
  }

  refuse(reason: GatewayError): boolean {
    return this.#flow.refuseBody(reason);
  }

  /** The wire delivers a chunk, which the body owns from now on, or copies when it is only lent. */
  receive(given: Uint8Array, lent = false): void {
    if (this.#ended) return;
    this.bytesReceived += given.length;
    let chunk = given;
    if (this.taker !== undefined && this.queue.length === 0) {
      const used = this.taker(given);
      if (used === given.length || this.ended) return;
      chunk = given.subarray(used);
    }
    // a piece of something larger would keep all of it
    if (lent || chunk.buffer.byteLength > chunk.length * PINNED_FACTOR_MAX)
      this.queue.pushCopy(chunk, this.#expected());
    else this.queue.push(chunk);
    if (this.queue.length >= Math.max(this.#flow.readAheadBytes, this.#wanted) && !this.#paused) {
      this.#paused = true;
      this.#flow.pauseBody();
    }
    if (this.#memory !== this.#toldBytes) this.#tellMemory();
    if (this.#readers.size === 0) return;
    if (this.queue.length >= this.#wanted) this.notify();
    else this.#flow.bodyAwaited(true);
  }

  /**
   * Bytes that are likely to follow: no more than have arrived, whatever length was declared, so that a client which sends little cannot
   * make the gateway allocate much.
   */
  #expected(): number {
    const likely = Math.max(this.bytesReceived, EXPECTED_BYTES_MIN);
    if (this.declaredLength === undefined) return likely;
    return Math.min(likely, Math.max(0, this.declaredLength - this.bytesReceived));
  }

  /** The request had no body, and its connection has become one. */
  reopen(): void {
    this.#ended = false;
  }

  /** The body is complete. */
  finish(trailers?: Fields): void {
    if (this.#ended) return;
    this.trailers = trailers;
    this.#ended = true;
    this.notify();
  }

  /** The body breaks off; what has arrived stays readable. */
  fail(error: GatewayError): void {
    if (this.#ended) return;
    this.#error = error;
    this.finish();
  }

  /** Calls the readers that wait now. A reader may take the bytes that another waits for, cancel its request, or wait again. */
  notify(): void {
    for (let left = this.#readers.size; left > 0; left--) {
      const ready = this.#readers.take();
      if (this.#readers.size === 0) this.#noneWaits();
      ready?.();
    }
  }

  #noneWaits(): void {
    this.#wanted = 0;
    this.#flow.bodyAwaited(false);
  }

  get #memory(): number {
    return this.queue.memory + this.#heldBytes;
  }

  #tellMemory(): void {
    if (this.#dropped) return;
    const bytes = this.#memory - this.#toldBytes;
    this.#toldBytes += bytes;
    this.#flow.bodyHolds(bytes);
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#flow.resumeBody();
  }
}

function notifyReader(body: QueuedBody): void {
  body.notify();
}
