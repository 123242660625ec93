/**
 * What arrives on a connection that a script has opened, as a source of bytes: holds what nobody has read yet, pauses the peer when that
 * is much, and bounds the time that a reader waits.
 */
import type { ReadableBytes } from '../base/byte-queue.ts';
import type { ByteSource } from '../base/byte-stream.ts';
import type { GatewayError } from '../base/errors.ts';
import { LINE_BYTES_MAX } from './outbound-limits.ts';
import { type BodyControl, ReceivedBody } from './received-body.ts';

/** One reader that waits. */
interface Wait {
  readonly ready: () => void;
  /** It can go on after it has waited too long. */
  readonly goesOn: boolean;
  /** Called when its bytes have come, or the source has ended. */
  readonly called: () => void;
  readonly timer: NodeJS.Timeout | undefined;
}

export interface SocketSourceOptions extends BodyControl {
  /** The longest time that a reader waits; infinity: for ever. */
  readonly timeoutMs: number;
  /** Makes the error of a read that has waited too long. */
  late(): GatewayError;
  /** The source cannot be used any more for this reason. */
  broken(reason: GatewayError): void;
}

export class SocketSource implements ByteSource {
  readonly lineBytesMax: number = LINE_BYTES_MAX;
  readonly #options: SocketSourceOptions;
  readonly #body: ReceivedBody;
  readonly #waits = new Map<() => void, Wait>();
  /** Readers that were called because they have waited too long, and have not asked why yet. */
  readonly #late = new Map<() => void, GatewayError>();

  constructor(options: SocketSourceOptions) {
    this.#options = options;
    this.#body = new ReceivedBody(options);
  }

  get queue(): ReadableBytes {
    return this.#body.queue;
  }

  get ended(): boolean {
    return this.#body.ended;
  }

  get error(): GatewayError | undefined {
    return this.#body.error;
  }

  /** Somebody waits for bytes. */
  get isAwaited(): boolean {
    return this.#waits.size > 0;
  }

  /** Ends the source when no bytes come in time: a reader of this kind would take an empty queue for the end. */
  request(size: number, ready: () => void): void {
    this.#ask(size, ready, false);
  }

  requestInTime(size: number, ready: () => void): void {
    this.#late.delete(ready);
    this.#ask(size, ready, true);
  }

  takeTimeout(ready: () => void): GatewayError | undefined {
    const late = this.#late.get(ready);
    if (late !== undefined) this.#late.delete(ready);
    return late;
  }

  cancelRequest(ready?: () => void): void {
    for (const wait of [...this.#waits.values()]) {
      if (ready !== undefined && wait.ready !== ready) continue;
      this.#body.cancelRequest(wait.called);
      this.#end(wait);
    }
    if (ready === undefined) this.#late.clear();
    else this.#late.delete(ready);
  }

  consumed(): void {
    this.#body.consumed();
  }

  /** What a reader has asked for and cannot take leaves the rest without a beginning. */
  refuse(reason: GatewayError): boolean {
    this.#options.broken(reason);
    return false;
  }

  /** Takes a chunk, which must not change any more. */
  receive(chunk: Uint8Array): void {
    this.#body.receive(chunk);
  }

  /** The peer sends nothing more. */
  finish(): void {
    this.#body.finish();
  }

  /** The connection breaks off; what has arrived stays readable. */
  fail(error: GatewayError): void {
    this.#body.fail(error);
  }

  /** What has come is not for anybody any more. */
  clear(): void {
    this.#body.queue.clear();
  }

  #ask(size: number, ready: () => void, goesOn: boolean): void {
    const { timeoutMs } = this.#options;
    const wait: Wait = {
      ready,
      goesOn,
      called: () => {
        this.#end(wait);
        ready();
      },
      timer: Number.isFinite(timeoutMs) ? setTimeout(() => this.#timeOut(wait), timeoutMs) : undefined,
    };
    this.#waits.set(ready, wait);
    this.#body.request(size, wait.called);
  }

  #end(wait: Wait): void {
    clearTimeout(wait.timer);
    if (this.#waits.get(wait.ready) === wait) this.#waits.delete(wait.ready);
  }

  #timeOut(wait: Wait): void {
    const late = this.#options.late();
    if (!wait.goesOn) {
      this.#options.broken(late);
      return;
    }
    this.#body.cancelRequest(wait.called);
    this.#end(wait);
    this.#late.set(wait.ready, late);
    wait.ready();
  }
}
