/**
 * One WebSocket: the messages that come and go through the tunnel of an exchange, its pings, and the two ways in which it ends: by a
 * handshake of close frames, or broken off.
 *
 * Long because what comes, what goes and what ends it are one life, and each may happen amid another.
 */
import type { PerMessageDeflate, Receiver } from 'ws';
import { GatewayError } from '../base/errors.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import { CLOSE_CODE, codeOfFault } from './close-codes.ts';
import { FrameGate } from './frame-gate.ts';
import { FrameOutput } from './frame-output.ts';
import { type Handshake, webSocketParts } from './handshake.ts';
import { type Message, MessageInbox } from './message-inbox.ts';
import { CLOSE_TIMEOUT_MS, FRAGMENTS_MAX, FRAMES_IN_TURN_MAX, GOODBYE_MS_MAX } from './websocket-limits.ts';
import { readWholeFrame, wholeFrameBytes } from './whole-frame.ts';

export interface WebSocketSettings {
  /** Bytes of a message, inflated. */
  readonly messageBytesMax: number;
  /** From one ping to the next; Infinity: none is sent. */
  readonly pingMs: number;
}

/** What stands in a close frame. */
interface Goodbye {
  readonly code: number;
  readonly reason: Buffer;
}

/** Messages come and go. */
const OPEN = 0;
/** Our close frame is sent or about to be; that of the client is awaited. */
const CLOSING = 1;
/** Nothing comes or goes any more; the end of the exchange may still be under way. */
const CLOSED = 2;

export class ServerWebSocket {
  /** The subprotocol that was agreed upon. */
  readonly protocol: string | undefined;
  /** Undefined while it is open: then the code of the first close frame, or 1005 or 1006. */
  code: number | undefined;
  /** Of the close frame that `code` is of; bytes of UTF-8. */
  reason: Uint8Array = NOTHING;
  /** Why nothing comes any more. */
  error: GatewayError | undefined;
  /** Called once, when messages neither come nor go any more. */
  onClosed: (() => void) | undefined;
  /** Called once, when it is closed and nothing of its exchange is left. */
  onGone: (() => void) | undefined;
  readonly output: FrameOutput;
  readonly #exchange: Exchange;
  readonly #settings: WebSocketSettings;
  readonly #deflate: PerMessageDeflate | undefined;
  readonly #inbox = new MessageInbox();
  readonly #gate = new FrameGate();
  /** Made when the first bytes come. */
  #receiver: Receiver | undefined;
  #state: typeof OPEN | typeof CLOSING | typeof CLOSED = OPEN;
  /** The piece before is being inflated, or was wrong: the next one waits. */
  #isBusy = false;
  #isPumping = false;
  /** Frames that were taken since others had a turn. */
  #framesInTurn = 0;
  /** Others have their turn. */
  #isResting = false;
  /** Bytes of the message that is not complete. */
  #pieceBytes = 0;
  /** Bytes that were counted as unread. */
  #heldBytes = 0;
  /** The body has been asked for more. */
  #isRequested = false;
  #reader: (() => void) | undefined;
  #isLeaving = false;
  /** The close frame of the client, which is answered when the messages before it are. */
  #goodbye: Goodbye | undefined;
  /** It is answered when the message that is being sent has ended: a close frame amid a message would cut it off. */
  #isGoodbyeDue = false;
  /** The script has taken a message since the close frame began to wait. */
  #hasTaken = false;
  #timer: NodeJS.Timeout | undefined;
  /** A ping waits for any sign of life. */
  #isProbed = false;

  /** The exchange has opened its tunnel; nobody else uses it from now on. */
  constructor(exchange: Exchange, { protocol, deflate }: Handshake, settings: WebSocketSettings) {
    this.#exchange = exchange;
    this.#settings = settings;
    this.#deflate = deflate;
    this.protocol = protocol;
    this.output = new FrameOutput(exchange, deflate, () => this.#messageEnded());
    exchange.onAbort = (reason) => this.#lost(reason);
    const closed = exchange.onClose;
    exchange.onClose = () => {
      closed?.();
      this.#gone();
    };
    if (deflate === undefined) exchange.body.taker = this.#takeWhole;
    this.#startTimer(settings.pingMs);
    exchange.flush();
    this.#pump();
  }

  get isOpen(): boolean {
    return this.#state === OPEN;
  }

  // ---- messages ----

  /** The next message; undefined: wait for `whenMessage`, or it is closed (`code`). */
  take(): Message | undefined {
    const message = this.#inbox.take();
    if (message !== undefined) {
      this.#hasTaken = true;
      this.#hold();
      this.#pump();
    } else if (!this.output.isClaimed) {
      if (this.#goodbye !== undefined) this.#answerGoodbye(this.#goodbye);
      else if (this.#isLeaving) this.close(CLOSE_CODE.goingAway);
    }
    return message;
  }

  /** True while `whenMessage` stands: one reader at a time. */
  get isAwaited(): boolean {
    return this.#reader !== undefined;
  }

  /** Calls `ready` once, when there is a message or there will be none. */
  whenMessage(ready: () => void): void {
    this.#reader = ready;
  }

  cancelMessage(): void {
    this.#reader = undefined;
  }

  // ---- the end ----

  /** Begins to close: what was sent before still goes, what comes is dropped. Nothing happens where that has begun already. */
  close(code: number | undefined, reason: Uint8Array = NOTHING): void {
    if (this.#state !== OPEN) return;
    if (this.#goodbye !== undefined) {
      this.#answerGoodbye(this.#goodbye);
      return;
    }
    this.#end(CLOSING, code ?? CLOSE_CODE.noCode, reason, closedError('closed here'));
    this.#startTimer(CLOSE_TIMEOUT_MS);
    this.output.close(code, reason, ignore);
    this.#pump();
  }

  /** Closes when whoever serves it comes to wait for a message, or sends the next one. */
  leave(): void {
    this.#isLeaving = true;
    if (this.isAwaited && this.#inbox.isEmpty && !this.output.isClaimed) this.close(CLOSE_CODE.goingAway);
  }

  /** True when it has to close before the next message is sent. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  // ---- what comes ----

  /** Takes frames while somebody wants messages. */
  #pump(): void {
    if (this.#isPumping || this.#isRequested || this.#isResting) return;
    this.#isPumping = true;
    try {
      while (this.#wantsFrames() && this.#takePiece());
    } finally {
      this.#isPumping = false;
    }
  }

  #wantsFrames(): boolean {
    if (this.#state === CLOSED || this.#isBusy || this.#isResting || this.#goodbye !== undefined)
      return false;
    return this.#state === CLOSING || !this.#inbox.isFull;
  }

  /** False: it has to wait. */
  #takePiece(): boolean {
    const { body } = this.#exchange;
    const piece = this.#gate.take(body.queue);
    if (typeof piece === 'number') {
      if (body.ended) this.#lost(body.error ?? closedError('Client has gone without a close frame'));
      else {
        this.#isRequested = true;
        body.request(piece, this.#arrived);
      }
      return false;
    }
    body.consumed();
    this.#countFrame();
    if (!this.#gate.isControl && this.#state === OPEN) {
      this.#pieceBytes += piece.length;
      if (!this.#hold()) {
        this.#fail(CLOSE_CODE.policy, 'LGW_WEBSOCKET_LIMIT', BUDGET_USED_UP);
        return false;
      }
    }
    // the Receiver takes the mask off where the bytes lie
    const mayBeText = this.#gate.isControl || this.#gate.mayBeText(piece);
    this.#feed(piece);
    // what is wrong with the frame itself comes first, and is told later
    if (mayBeText || this.#state !== OPEN || this.#receiver?.errored !== null) return true;
    this.#fail(
      CLOSE_CODE.invalidData,
      'LGW_WEBSOCKET_PROTOCOL',
      'Invalid WebSocket frame: invalid UTF-8 sequence',
    );
    return false;
  }

  /** Messages that come whole in what a read has brought are taken out of it: they never enter a queue, nor a Receiver. */
  readonly #takeWhole = (bytes: Uint8Array): number => {
    if (!this.#isRequested || !this.#gate.isBetweenMessages) return 0;
    let at = 0;
    this.output.hold();
    while (at < bytes.length && this.#state === OPEN && this.#wantsFrames()) {
      const message = readWholeFrame(bytes, at, this.#settings.messageBytesMax);
      if (message === undefined) break;
      at += wholeFrameBytes(message);
      this.#countFrame();
      this.#inbox.put(message);
      this.#tellReader();
      if (!this.#hold()) {
        this.#fail(CLOSE_CODE.policy, 'LGW_WEBSOCKET_LIMIT', BUDGET_USED_UP);
        break;
      }
    }
    this.output.letGo();
    return at;
  };

  #countFrame(): void {
    this.#isProbed = false;
    this.#framesInTurn += 1;
    if (this.#framesInTurn === FRAMES_IN_TURN_MAX) this.#rest();
  }

  /** A client that sends small frames without end must not keep the thread: a socket is read many times before others have a turn. */
  #rest(): void {
    this.#isResting = true;
    setImmediate(() => {
      this.#isResting = false;
      this.#framesInTurn = 0;
      this.#pump();
    });
  }

  #feed(piece: Buffer): void {
    this.#receiver ??= this.#createReceiver();
    const receiver = this.#receiver;
    if (this.#deflate === undefined) {
      receiver.write(piece);
      // the event with the error comes later
      if (receiver.errored !== null) this.#isBusy = true;
      return;
    }
    this.#isBusy = true;
    receiver.write(piece, () => {
      if (receiver.errored !== null) return;
      this.#isBusy = false;
      if (this.#state === CLOSED) this.#dropDeflate();
      else this.#pump();
    });
  }

  #createReceiver(): Receiver {
    const { Receiver, PerMessageDeflate } = webSocketParts();
    const deflate = this.#deflate;
    const receiver = new Receiver({
      isServer: true,
      extensions: deflate === undefined ? {} : { [PerMessageDeflate.extensionName]: deflate },
      maxPayload: this.#settings.messageBytesMax,
      maxFragments: FRAGMENTS_MAX,
    });
    receiver.on('message', (data, isBinary) => this.#received({ data, isBinary }));
    receiver.on('ping', (data) => {
      if (this.#state === OPEN) this.output.pong(data);
    });
    receiver.on('conclude', (code, reason) => this.#concluded(code, reason));
    receiver.on('error', (error) => {
      this.#isBusy = false;
      if (this.#state === CLOSED) {
        this.#dropDeflate();
        return;
      }
      const code = codeOfFault(error.code);
      const isLimit = code === CLOSE_CODE.tooBig || code === CLOSE_CODE.policy;
      this.#fail(code, isLimit ? 'LGW_WEBSOCKET_LIMIT' : 'LGW_WEBSOCKET_PROTOCOL', error.message);
    });
    return receiver;
  }

  #received(message: Message): void {
    if (this.#state !== OPEN) return;
    // the pieces that it came in are nobody's any more
    this.#pieceBytes = 0;
    this.#inbox.put(message);
    this.#tellReader();
    this.#hold();
  }

  /** The client has sent its close frame. */
  #concluded(code: number, reason: Buffer): void {
    if (this.#state === OPEN) {
      this.#goodbye = { code, reason };
      if (this.isAwaited && this.#inbox.isEmpty && !this.output.isClaimed) this.#answerGoodbye(this.#goodbye);
      else {
        // what is under way may be an answer
        this.#hasTaken = this.output.isClaimed;
        this.#startTimer(GOODBYE_MS_MAX);
      }
      return;
    }
    if (this.#state === CLOSING) {
      this.#state = CLOSED;
      this.#exchange.end();
    }
    this.#cleanUp();
  }

  /** A script that has taken no message is not answering any. */
  #goodbyeTimedOut(goodbye: Goodbye): void {
    if (this.output.isClaimed) this.#isGoodbyeDue = true;
    else if (this.#hasTaken) {
      this.#hasTaken = false;
      this.#startTimer(GOODBYE_MS_MAX);
    } else this.#answerGoodbye(goodbye);
  }

  #messageEnded(): void {
    if (!this.#isGoodbyeDue || this.#goodbye === undefined || this.#state !== OPEN) return;
    this.#isGoodbyeDue = false;
    this.#goodbyeTimedOut(this.#goodbye);
  }

  /** Sends our close frame behind the answers to what the client has sent before its own (RFC 6455 §5.5.1). */
  #answerGoodbye({ code, reason }: Goodbye): void {
    this.#end(CLOSED, code, reason, closedError(`Client has closed it with code ${code}`));
    this.output.close(code === CLOSE_CODE.noCode ? undefined : code, reason, () => this.#exchange.end());
    this.#cleanUp();
  }

  // ---- what ends it ----

  /** The client has broken a rule or a limit (RFC 6455 §7.1.7). */
  #fail(code: number, name: 'LGW_WEBSOCKET_LIMIT' | 'LGW_WEBSOCKET_PROTOCOL', why: string): void {
    const wasOpen = this.#state === OPEN;
    const luaCode = name === 'LGW_WEBSOCKET_LIMIT' ? 'limit' : 'invalid';
    const reason = Buffer.from(why);
    const message = `WebSocket is closed with code ${code}: ${why}`;
    this.#end(CLOSED, code, reason, new GatewayError(name, message, { luaCode }));
    if (wasOpen) this.output.close(code, reason, () => this.#exchange.end());
    else this.#exchange.end();
    this.#cleanUp();
  }

  /** The connection or the stream is gone. */
  #lost(reason: GatewayError): void {
    if (this.#state !== CLOSED) {
      const { code, reason: words } = this.#goodbye ?? { code: CLOSE_CODE.abnormal, reason: NOTHING };
      this.#end(CLOSED, code, words, reason);
      // it has ended its side without a word: hooks and counters hear of a client that has gone
      if (code === CLOSE_CODE.abnormal && this.#exchange.fail !== undefined) this.#exchange.fail(reason);
      else this.#exchange.end();
    }
    this.#cleanUp();
  }

  /** Neither an answer to a ping has come, nor anything else. */
  #timedOut(): void {
    if (this.#state === OPEN) {
      const message = 'WebSocket is closed: its client answers no ping';
      const error = new GatewayError('LGW_WEBSOCKET_TIMEOUT', message, { luaCode: 'timeout' });
      this.#end(CLOSED, CLOSE_CODE.abnormal, NOTHING, error);
    }
    this.#state = CLOSED;
    this.#exchange.reset();
    this.#cleanUp();
  }

  #end(state: typeof CLOSING | typeof CLOSED, code: number, reason: Uint8Array, error: GatewayError): void {
    // what closed it first is what whoever serves it is told
    if (this.#state === OPEN) {
      this.code = code;
      this.reason = reason;
      this.error = error;
    }
    this.#state = state;
    this.#tellReader();
    this.output.end();
    const { onClosed } = this;
    this.onClosed = undefined;
    onClosed?.();
  }

  #tellReader(): void {
    const ready = this.#reader;
    this.#reader = undefined;
    ready?.();
  }

  /** Nothing is read any more. */
  #cleanUp(): void {
    clearTimeout(this.#timer);
    this.#exchange.body.cancelRequest(this.#arrived);
    if (!this.#isBusy) this.#dropDeflate();
  }

  /** Frees the contexts as soon as nothing is being compressed: until then they are in use in the pool. */
  #dropDeflate(): void {
    const deflate = this.#deflate;
    if (deflate !== undefined) this.output.whenDeflated(() => deflate.cleanup());
  }

  #gone(): void {
    this.#lost(closedError('Client has gone without a close frame'));
    const { onGone } = this;
    this.onGone = undefined;
    onGone?.();
  }

  // ---- time ----

  #startTimer(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (ms === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(this.#tick, ms);
    this.#timer.unref();
  }

  readonly #tick = (): void => {
    if (this.#goodbye !== undefined && this.#state === OPEN) {
      this.#goodbyeTimedOut(this.#goodbye);
      return;
    }
    if (this.#state === CLOSING) {
      this.#timedOut();
      return;
    }
    // what the client may have sent is not looked at while messages wait for their script
    const isDeaf = this.#inbox.isFull || this.#isBusy;
    if (this.#isProbed && !isDeaf) {
      this.#timedOut();
      return;
    }
    if (!this.output.isFull) {
      this.#isProbed = true;
      this.output.ping();
    }
    this.#timer?.refresh();
  };

  // ---- memory ----

  readonly #arrived = (): void => {
    this.#isRequested = false;
    this.#pump();
  };

  /** Counts what nobody has used yet, where that has changed: false when the worker has no room for it. */
  #hold(): boolean {
    const change = this.#inbox.bytes + this.#pieceBytes - this.#heldBytes;
    if (change === 0) return true;
    this.#heldBytes += change;
    return this.#exchange.body.hold?.(change) !== false;
  }
}

function closedError(message: string): GatewayError {
  return new GatewayError('LGW_WEBSOCKET_CLOSED', message, { luaCode: 'closed' });
}

function ignore(): void {}

const NOTHING: Buffer = Buffer.alloc(0);
const BUDGET_USED_UP = 'messages of all clients have used up their budget (--max-unread-bodies)';
