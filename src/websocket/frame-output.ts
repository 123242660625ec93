/** Writes the frames of one WebSocket to its exchange: one message at a time, control frames between, compressed where that was agreed. */
import type { PerMessageDeflate, Sender, SenderSocket } from 'ws';
import type { Exchange } from '../http/exchange/exchange.ts';
import { Waiters } from '../http/exchange/waiters.ts';
import { readLatin1 } from '../native/node-internals.ts';
import { webSocketParts } from './handshake.ts';
import { DEFLATING_BYTES_MAX } from './websocket-limits.ts';

/** Writes to the exchange what a Sender gives; the exchange copies it. */
class ExchangeSocket implements SenderSocket {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  get destroyed(): boolean {
    return this.#exchange.finished;
  }

  /** The exchange gathers what it is given until the next flush. */
  cork(): void {}
  uncork(): void {}

  write(bytes: Uint8Array, written?: (error?: Error | null) => void): void {
    this.#exchange.write(bytes);
    written?.();
  }
}

/** RFC 6455 §5.2. */
const OPCODE = { continuation: 0, text: 1, binary: 2 } as const;
const FIN = 0x80;
const LENGTH_7_MAX = 125;
const LENGTH_16_MAX = 0xffff;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
/** A frame that is being written, for all WebSockets of the thread: the exchange copies it. As many bytes as an exchange keeps as text. */
const frame = Buffer.allocUnsafeSlow(4096);

export class FrameOutput {
  readonly #exchange: Exchange;
  readonly #deflate: PerMessageDeflate | undefined;
  readonly #sender: Sender;
  readonly #released: () => void;
  /** Bytes that wait to be compressed, or are being. */
  #deflatingBytes = 0;
  /** Parts of messages that wait to be compressed, or are being: some are empty. */
  #deflatingParts = 0;
  #whenDeflated: (() => void) | undefined;
  /** A message has begun and not ended: others wait. */
  #isClaimed = false;
  /** Fragments of a message have been sent, and the last one has not. */
  #isContinued = false;
  #isFlushDue = false;
  #isHeld = false;
  /** `#hasRoom` is called when the exchange has room. */
  #awaitsRoom = false;
  readonly #claimers = new Waiters();
  readonly #drained = new Waiters();
  /** The last ping that could not be answered at once; older ones need no answer (RFC 6455 §5.5.3). */
  #owedPong: Buffer | undefined;

  /** `released` is called when a message has ended, before those that wait to send the next one. */
  constructor(exchange: Exchange, deflate: PerMessageDeflate | undefined, released: () => void) {
    const { Sender, PerMessageDeflate } = webSocketParts();
    this.#exchange = exchange;
    this.#deflate = deflate;
    this.#released = released;
    const extensions = deflate === undefined ? {} : { [PerMessageDeflate.extensionName]: deflate };
    this.#sender = new Sender(new ExchangeSocket(exchange), extensions);
  }

  /** Whoever sends a message next has to wait for `whenDrained`. */
  get isFull(): boolean {
    return this.#exchange.isFull === true || this.#deflatingBytes >= DEFLATING_BYTES_MAX;
  }

  /** A message is under way. */
  get isClaimed(): boolean {
    return this.#isClaimed;
  }

  /** Begins a message. False: another one is under way, and `claimed` is called when it is over. */
  claim(claimed: () => void): boolean {
    if (this.#isClaimed) {
      this.#claimers.add(claimed);
      return false;
    }
    this.#isClaimed = true;
    return true;
  }

  cancelClaim(claimed: () => void): void {
    this.#claimers.remove(claimed);
  }

  /** The message has been sent, or will never be. */
  release(): void {
    this.#isClaimed = false;
    this.#released();
    this.#claimers.notify();
  }

  /** Sends a part of the message that was begun; `bytes` are the caller's again when this returns. */
  send(bytes: Uint8Array, isBinary: boolean, isLast: boolean): void {
    if (this.#deflate === undefined) {
      this.#flushSoon();
      this.#writeFrame(bytes, isBinary, isLast);
      return;
    }
    const size = bytes.length;
    this.#deflatingBytes += size;
    this.#deflatingParts += 1;
    const options = { binary: isBinary, compress: true, fin: isLast, mask: false };
    this.#sender.send(Buffer.from(bytes), options, () => this.#deflated(size));
  }

  /** Writes what a Sender would where nothing is compressed, at half of its price: a small frame is one piece, and makes no object. */
  #writeFrame(bytes: Uint8Array, isBinary: boolean, isLast: boolean): void {
    const size = bytes.length;
    const opcode = this.#isContinued ? OPCODE.continuation : isBinary ? OPCODE.binary : OPCODE.text;
    this.#isContinued = !isLast;
    const first = (isLast ? FIN : 0) | opcode;
    if (size <= LENGTH_7_MAX && this.#exchange.writeText !== undefined) {
      // a byte string costs half of what a small Buffer costs to send
      this.#exchange.writeText(String.fromCharCode(first, size) + readLatin1(bytes, 0, size));
      return;
    }
    frame[0] = first;
    let headBytes = 2;
    if (size <= LENGTH_7_MAX) frame[1] = size;
    else if (size <= LENGTH_16_MAX) {
      frame[1] = LENGTH_16;
      headBytes = frame.writeUInt16BE(size, 2);
    } else {
      frame[1] = LENGTH_64;
      headBytes = frame.writeUInt32BE(size, frame.writeUInt32BE(0, 2));
    }
    if (headBytes + size > frame.length) {
      this.#exchange.write(frame.subarray(0, headBytes));
      this.#exchange.write(bytes);
      return;
    }
    frame.set(bytes, headBytes);
    this.#exchange.write(frame.subarray(0, headBytes + size));
  }

  whenDrained(drained: () => void): void {
    this.#drained.add(drained);
    if (this.#deflatingBytes >= DEFLATING_BYTES_MAX || this.#awaitsRoom) return;
    this.#awaitsRoom = true;
    this.#exchange.whenDrained(this.#hasRoom);
  }

  cancelDrained(drained: () => void): void {
    this.#drained.remove(drained);
  }

  ping(): void {
    this.#sender.ping(NOTHING, false);
    this.#exchange.flush();
  }

  pong(data: Buffer): void {
    if (this.#exchange.isFull === true) {
      if (this.#owedPong === undefined) this.#exchange.whenDrained(this.#payPong);
      this.#owedPong = data;
      return;
    }
    this.#sender.pong(data, false);
    this.#exchange.flush();
  }

  /** Sends a close frame behind all that was sent, then calls `sent`. */
  close(code: number | undefined, reason: Uint8Array, sent: () => void): void {
    this.#sender.close(code, reason, false, () => {
      this.#exchange.flush();
      sent();
    });
  }

  /** Nothing can be sent any more: those that wait hear of it. */
  end(): void {
    this.#owedPong = undefined;
    this.#exchange.cancelDrained(this.#payPong);
    // a client that does not read must not keep them until its time is over
    this.#exchange.cancelDrained(this.#hasRoom);
    this.#claimers.notify();
    this.#drained.notify();
  }

  /** What is sent from now on leaves at the next `letGo` of the caller. */
  hold(): void {
    this.#isHeld = true;
  }

  letGo(): void {
    this.#isHeld = false;
    if (this.#isFlushDue) this.flush();
  }

  /** A coroutine that sends may end without waiting, and nobody else flushes for it. */
  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    if (!this.#isHeld) process.nextTick(flush, this);
  }

  flush(): void {
    this.#isFlushDue = false;
    this.#exchange.flush();
  }

  /** Calls `idle` when nothing is being compressed any more. */
  whenDeflated(idle: () => void): void {
    if (this.#deflatingParts === 0) idle();
    else this.#whenDeflated = idle;
  }

  #deflated(size: number): void {
    this.#deflatingBytes -= size;
    this.#deflatingParts -= 1;
    if (this.#deflatingParts === 0) this.#whenDeflated?.();
    this.#exchange.flush();
    if (this.#deflatingBytes < DEFLATING_BYTES_MAX) this.#drained.notify();
  }

  readonly #hasRoom = (): void => {
    this.#awaitsRoom = false;
    this.#drained.notify();
  };

  readonly #payPong = (): void => {
    const data = this.#owedPong;
    this.#owedPong = undefined;
    if (data !== undefined && !this.#exchange.finished) this.pong(data);
  };
}

function flush(output: FrameOutput): void {
  output.flush();
}

const NOTHING: Buffer = Buffer.alloc(0);
