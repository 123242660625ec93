/** An open file descriptor that is closed when, and only when, the last operation on it has ended. */
import { close, closeSync } from 'node:fs';
import { assert } from '../base/assert.ts';

export class Descriptor {
  readonly fd: number;
  readonly #onClosed: () => void;
  #operations = 0;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #done: ((thrown: unknown) => void) | undefined;

  /** `onClosed` is called once, when the number is free again. */
  constructor(fd: number, onClosed: () => void) {
    this.fd = fd;
    this.#onClosed = onClosed;
  }

  /** Counts an operation that starts on the descriptor. */
  acquire(): void {
    assert(this.#state !== 'closed', 'no operation starts on a closed descriptor');
    this.#operations += 1;
  }

  /** Counts an operation that has ended; closes the descriptor when it was the last one before a close. */
  release(): void {
    this.#operations -= 1;
    if (this.#operations === 0 && this.#state === 'closing') this.#close();
  }

  /** Closes the descriptor, now or after the operations in flight; `done` gets the error of close(2). */
  close(done: (thrown: unknown) => void): void {
    assert(this.#state === 'open', 'a descriptor is closed once');
    this.#state = 'closing';
    this.#done = done;
    if (this.#operations === 0) this.#close();
  }

  /** Closes before it returns, or after the last operation in flight where there is one. Throws the error of close(2). */
  closeSync(): void {
    assert(this.#state === 'open', 'a descriptor is closed once');
    this.#state = 'closing';
    if (this.#operations > 0) return;
    this.#state = 'closed';
    try {
      closeSync(this.fd);
    } finally {
      this.#onClosed();
    }
  }

  #close(): void {
    this.#state = 'closed';
    close(this.fd, (thrown) => {
      this.#onClosed();
      this.#done?.(thrown ?? undefined);
    });
  }
}
