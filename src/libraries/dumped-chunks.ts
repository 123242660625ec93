/**
 * Knows which precompiled chunks `string.dump` has returned in one state, so that `load` may take them without the right to
 * load others.
 *
 * These are as safe as the functions they were made of. Bytecode that can harm the VM is bytecode that no compiler made, and
 * without `--allow-bytecode` everything in a state was compiled in it from text: no chunk comes from a file, and no function
 * comes from another state. (With the right nothing is remembered, as everything may be loaded.) `string.dump` writes the
 * prototype of a function, which nothing in Lua can change. Its upvalues are not written: the copy gets new ones, nil but
 * for the first, which `load` sets to the globals or `env`; the VM checks the type of every upvalue when it is used, so wrong
 * ones are an error of Lua and no more. `strip` leaves out names and lines, which only messages and `debug` look at, and which
 * these find missing. The gateway's own Lua functions can be copied too, without what they keep in their upvalues.
 * One byte more or less is another chunk: SHA-256 tells.
 */
import { createHash } from 'node:crypto';

/** Chunks that are remembered (some 150 bytes each); one more, and the one not dumped for longest is forgotten. */
const CHUNKS_MAX = 256;
/** Longer ones are not remembered: hashing holds up the worker, 4 ms for so many bytes on a slow machine. */
const CHUNK_BYTES_MAX = 1024 * 1024;
/** Fuel of hashing a byte, and of a call of the platform's function. */
const UNITS_PER_BYTE = 0.6;
const UNITS = 400;

export class DumpedChunks {
  readonly #pay: (units: number) => void;
  /** Sizes by digest, the one dumped last at the end. */
  readonly #sizes = new Map<string, number>();
  /** How many chunks have a size. */
  readonly #counts = new Map<number, number>();

  /** `pay` is told before work is done. */
  constructor(pay: (units: number) => void) {
    this.#pay = pay;
  }

  add(chunk: Uint8Array): void {
    const size = chunk.length;
    if (size > CHUNK_BYTES_MAX) return;
    const digest = this.#digest(chunk);
    if (this.#sizes.delete(digest)) {
      this.#sizes.set(digest, size);
      return;
    }
    this.#sizes.set(digest, size);
    this.#counts.set(size, (this.#counts.get(size) ?? 0) + 1);
    if (this.#sizes.size > CHUNKS_MAX) this.#forgetOldest();
  }

  has(chunk: Uint8Array): boolean {
    // of most strangers the size tells enough
    return this.#counts.has(chunk.length) && this.#sizes.has(this.#digest(chunk));
  }

  #digest(chunk: Uint8Array): string {
    this.#pay(UNITS + chunk.length * UNITS_PER_BYTE);
    return createHash('sha256').update(chunk).digest('base64');
  }

  #forgetOldest(): void {
    for (const [digest, size] of this.#sizes) {
      this.#sizes.delete(digest);
      const left = (this.#counts.get(size) as number) - 1;
      if (left === 0) this.#counts.delete(size);
      else this.#counts.set(size, left);
      return;
    }
  }
}
