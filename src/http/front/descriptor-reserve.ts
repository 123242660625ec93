/**
 * A few descriptors that are kept to be let go when none is left: then a connection that waits can be accepted to be
 * refused. libuv has such a reserve for each thread, but loses it when another thread takes the number first, and from then
 * on asks for the same connection for ever, without a turn for anything else.
 */
import { closeSync, openSync } from 'node:fs';
import { systemCodeOf } from '../../base/errors.ts';

/** Something that can be opened everywhere and costs nothing. */
const NOTHING = '/dev/null';

/** Descriptors kept: another thread may take one that is closed, but hardly all of them at once. */
const RESERVE = 4;
/** Milliseconds that a thread without a reserve waits before libuv tries again: other threads may close a descriptor meanwhile. */
const PAUSE_MS = 10;

export class DescriptorReserve {
  readonly #descriptors: number[] = [];
  #owed = 0;

  /** True when a reserved descriptor was closed, and the next free one has to replace it. */
  get isOwed(): boolean {
    return this.#owed > 0;
  }

  /** Fills the reserve, as far as descriptors are left. */
  fill(): void {
    this.#owed = RESERVE - this.#descriptors.length;
    while (this.#owed > 0 && this.#take()) this.#owed -= 1;
  }

  /** Takes one descriptor back, if one is left. */
  take(): void {
    if (this.#owed > 0 && this.#take()) this.#owed -= 1;
  }

  /** Closes a reserved descriptor, so that a connection can be accepted; false when none is left. */
  lend(): boolean {
    const descriptor = this.#descriptors.pop();
    if (descriptor === undefined) {
      this.#owed = RESERVE;
      return false;
    }
    closeSync(descriptor);
    this.#owed = RESERVE - this.#descriptors.length;
    return true;
  }

  /** For good. */
  end(): void {
    this.#owed = 0;
    for (const descriptor of this.#descriptors.splice(0)) closeSync(descriptor);
  }

  /** False when none is left. What cannot be opened for another reason is not owed. */
  #take(): boolean {
    try {
      this.#descriptors.push(openSync(NOTHING, 'r'));
      return true;
    } catch (error) {
      return !isUsedUp(error);
    }
  }
}

/** Stops this thread for a moment, where it would do nothing but ask. */
export function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
}

/** Whether the process or the system has no descriptor left; shows only by asking for one. */
export function areDescriptorsUsedUp(): boolean {
  try {
    closeSync(openSync(NOTHING, 'r'));
    return false;
  } catch (error) {
    return isUsedUp(error);
  }
}

export function isUsedUp(error: unknown): boolean {
  const code = systemCodeOf(error);
  return code === 'EMFILE' || code === 'ENFILE';
}
