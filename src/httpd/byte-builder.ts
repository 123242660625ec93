/** Gathers bytes of unknown number in pieces, so that none is ever moved to a larger place, and gives them to the VM in slices. */
import { BlankString } from '../lua/blank-string.ts';
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import type { LuaThread } from '../lua/lua-exports.ts';

/** Bytes of the first piece; each other is twice as long as the one before, up to the largest. */
const FIRST_BYTES = 1024;
const PIECE_BYTES_MAX = 128 * 1024;
/** Up to this length the result is pushed at once. */
const SMALL_BYTES_MAX = 64 * 1024;
/** Bytes copied to the VM for one unit of fuel: as inside it (wasm-rewriter.ts). */
const BYTES_PER_UNIT = 16;

export class ByteBuilder {
  /** The piece that is being filled: `size` bytes of it are. */
  bytes: Buffer = Buffer.allocUnsafe(FIRST_BYTES);
  size = 0;
  readonly #pieces: Buffer[] = [];
  /** Bytes of the pieces that are full. */
  #before = 0;
  readonly #bytesMax: number;
  readonly #refuse: () => never;
  /** Of the result: where it is in the VM, how many pieces have been copied. */
  #target = 0;
  #made: BlankString | undefined;
  #copied = 0;

  /** `refuse` raises the error of a result beyond `bytesMax`. */
  constructor(bytesMax: number, refuse: () => never) {
    this.#bytesMax = bytesMax;
    this.#refuse = refuse;
  }

  get length(): number {
    return this.#before + this.size;
  }

  /** Makes sure that `count` bytes, at most 128 KiB, have room in `bytes` behind `size`. */
  reserve(count: number): void {
    if (this.size + count <= this.bytes.length) return;
    this.#pieces.push(this.bytes.subarray(0, this.size));
    this.#before += this.size;
    if (this.#before > this.#bytesMax) this.#refuse();
    const next = Math.min(2 * this.bytes.length, PIECE_BYTES_MAX);
    this.bytes = Buffer.allocUnsafe(Math.max(next, count));
    this.size = 0;
  }

  /** To be called where the result is not pushed to the end. */
  cancel(): void {
    this.#made?.cancel();
  }

  /** Copies on; true when the result stands on top of the stack. Nothing may be added any more. */
  push(scheduler: CoroutineScheduler, L: LuaThread): boolean {
    const { state } = scheduler;
    const { length } = this;
    if (length > this.#bytesMax) this.#refuse();
    if (length <= SMALL_BYTES_MAX) {
      const last = this.bytes.subarray(0, this.size);
      state.pushBytes(L, this.#pieces.length === 0 ? last : Buffer.concat([...this.#pieces, last]));
      return true;
    }
    if (this.#target === 0) {
      this.#made ??= new BlankString(state, length);
      this.#target = this.#made.step(L) ?? 0;
      if (this.#target !== 0) this.#pieces.push(this.bytes.subarray(0, this.size));
      return false;
    }
    const piece = this.#pieces[this.#copied] as Buffer;
    scheduler.guard.pay(piece.length / BYTES_PER_UNIT);
    state.memory.heap.set(piece, this.#target);
    this.#target += piece.length;
    this.#copied += 1;
    return this.#copied === this.#pieces.length;
  }
}
