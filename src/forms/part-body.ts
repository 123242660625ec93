/** The content of a part as a stream: read from the request body as it is read itself, and never further ahead. */
import { ByteQueue, type ReadableBytes } from '../base/byte-queue.ts';
import type { ByteSource } from '../base/byte-stream.ts';
import { GatewayError } from '../base/errors.ts';
import type { FormSource } from './form-body.ts';
import type { PartScan } from './part-scan.ts';

interface Reader {
  readonly size: number;
  readonly ready: () => void;
}

/** What is left of a part once the next one was asked for. */
const NOTHING: ReadableBytes = new ByteQueue();

export class PartBody implements ByteSource {
  readonly #source: FormSource;
  readonly #scan: PartScan;
  /** Whoever waits: tasks of one request may read the same part. */
  #readers: Reader[] = [];
  /** It waits for the body. */
  #isWaiting = false;
  #isPassed = false;

  constructor(source: FormSource, scan: PartScan) {
    this.#source = source;
    this.#scan = scan;
  }

  get queue(): ReadableBytes {
    return this.#isPassed ? NOTHING : this.#scan.window;
  }

  get ended(): boolean {
    return this.#isPassed || this.#scan.ended;
  }

  get error(): GatewayError | undefined {
    return this.#isPassed ? passed() : this.#scan.error;
  }

  request(size: number, ready: () => void): void {
    this.#readers.push({ size: Math.max(1, size), ready });
    if (!this.#isPassed) this.#scan.scan();
    if (this.ended || this.queue.length >= size) process.nextTick(notifyReaders, this);
    else this.#wait();
  }

  cancelRequest(ready?: () => void): void {
    this.#readers = ready === undefined ? [] : this.#readers.filter((reader) => reader.ready !== ready);
    if (this.#readers.length === 0) this.#stopWaiting();
  }

  consumed(): void {
    if (this.#isPassed) return;
    this.#source.consumed();
    // what has arrived meanwhile is there for the next read at once
    this.#scan.scan();
  }

  refuse(reason: GatewayError): boolean {
    return this.#source.refuse?.(reason) === true;
  }

  /** The next part was asked for: whoever still waits for this one gets nothing. */
  pass(): void {
    if (this.#isPassed) return;
    this.#isPassed = true;
    this.#stopWaiting();
    if (this.#readers.length > 0) process.nextTick(notifyReaders, this);
  }

  /** Calls the readers whose bytes are there. A reader may take what the next one waits for, or wait again. */
  notify(): void {
    for (const reader of [...this.#readers]) {
      if (!this.ended && this.queue.length < reader.size) continue;
      const at = this.#readers.indexOf(reader);
      if (at === -1) continue;
      this.#readers.splice(at, 1);
      reader.ready();
    }
    if (this.#readers.length > 0 && !this.ended) this.#wait();
  }

  #wait(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#source.request(this.#source.queue.length + 1, this.#onMore);
  }

  #stopWaiting(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#source.cancelRequest(this.#onMore);
  }

  readonly #onMore = (): void => {
    this.#isWaiting = false;
    this.#scan.scan();
    this.notify();
  };
}

function notifyReaders(body: PartBody): void {
  body.notify();
}

function passed(): GatewayError {
  return new GatewayError('LGW_FORM_READ', 'Cannot read the part: the next one was asked for', {
    luaCode: 'closed',
  });
}
