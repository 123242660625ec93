/** A message as the subscribers of one mapping hold it: counted once for all of them, as long as one has not taken it. */
import type { Share } from '../mapping/shares.ts';
import { MESSAGE_OVERHEAD_BYTES } from './event-limits.ts';

export class HeldMessage {
  readonly channel: string;
  /** A string of bytes. */
  readonly text: string;
  readonly share: Share;
  #holders = 0;

  constructor(channel: string, text: string, share: Share) {
    this.channel = channel;
    this.text = text;
    this.share = share;
  }

  get size(): number {
    return this.text.length + MESSAGE_OVERHEAD_BYTES;
  }

  /** One more subscriber has it; false: the mapping has no room for it. */
  hold(): boolean {
    if (this.#holders === 0 && this.share.take('messageBytes', false, this.size) !== undefined) return false;
    this.#holders += 1;
    return true;
  }

  /** A subscriber has taken or lost it. */
  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) this.share.give('messageBytes', this.size);
  }
}
