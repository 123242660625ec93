/** Messages of one WebSocket that nobody has taken yet, bounded by number and bytes. */
import { INBOX_BYTES_MAX, INBOX_MESSAGES_MAX } from './websocket-limits.ts';

export interface Message {
  /** Text is UTF-8 that was checked. */
  readonly data: Buffer;
  readonly isBinary: boolean;
}

export class MessageInbox {
  readonly #messages: Message[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  /** Nothing more should come before something is taken. */
  get isFull(): boolean {
    return this.#messages.length >= INBOX_MESSAGES_MAX || this.#bytes >= INBOX_BYTES_MAX;
  }

  /** Of all its messages. */
  get bytes(): number {
    return this.#bytes;
  }

  put(message: Message): void {
    this.#messages.push(message);
    this.#bytes += message.data.length;
  }

  take(): Message | undefined {
    const message = this.#messages.shift();
    if (message !== undefined) this.#bytes -= message.data.length;
    return message;
  }
}
