/**
 * Gathers the bytes of one JSON text: strings with their escapes, numbers, and what stands between them. A text that becomes
 * long is kept in blocks inside the VM, whose memory bounds it, and becomes a string there in slices.
 */
import { isUtf8 } from 'node:buffer';
import { BlankString } from '../lua/blank-string.ts';
import { LuaError } from '../lua/lua-error.ts';
import type { Address, LuaThread } from '../lua/lua-exports.ts';
import type { Memory } from '../lua/memory.ts';
import type { State } from '../lua/state.ts';
import { JSON_BYTES_MAX } from './json-limits.ts';

/** Bytes of a string that are written at once at most. */
export const PIECE_BYTES: number = 8 * 1024;
/** Bytes a text is expected to have; the buffer grows by doubling. */
const FIRST_BYTES = 1024;
/** Bytes of a block, and the most bytes of the buffer: a piece fits even when each of its bytes becomes an escape of six. */
const BLOCK_BYTES: number = 64 * 1024;
/** Blocks that are copied in one step. */
const BLOCKS_PER_STEP = 4;
/** Bytes whose copy, into memory that may be fresh, is worth a unit of fuel. */
const COPIED_BYTES_PER_UNIT = 8;

const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** For each byte that cannot stand in a string as it is, what does. */
const ESCAPES: readonly (string | undefined)[] = Array.from({ length: 256 }, (_, byte) => {
  if (byte >= SPACE && byte !== QUOTE && byte !== BACKSLASH) return undefined;
  return JSON.stringify(String.fromCharCode(byte)).slice(1, -1);
});

interface Block {
  readonly address: Address;
  readonly size: number;
}

export class JsonWriter {
  readonly #state: State;
  readonly #memory: Memory;
  #bytes: Buffer = Buffer.allocUnsafe(FIRST_BYTES);
  #size = 0;
  readonly #blocks: Block[] = [];
  #blockBytes = 0;
  /** The string that the blocks become: while it is made, and where its bytes go on. */
  #long: BlankString | undefined;
  #at = 0;
  #copied = 0;

  constructor(state: State) {
    this.#state = state;
    this.#memory = state.memory;
  }

  byte(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#size++] = byte;
  }

  /** A short text of ASCII characters. */
  ascii(text: string): void {
    this.#reserve(text.length);
    for (let i = 0; i < text.length; i++) this.#bytes[this.#size++] = text.charCodeAt(i);
  }

  /** At most PIECE_BYTES blanks. */
  blanks(count: number): void {
    this.#reserve(count);
    this.#bytes.fill(SPACE, this.#size, this.#size + count);
    this.#size += count;
  }

  /** The bytes of the VM between two addresses as a string in quotes, at most PIECE_BYTES; raises when they are no UTF-8. */
  string(start: number, end: number): void {
    // every byte may need an escape only where there are some: most strings have none
    this.#reserve(end - start + 2);
    this.#bytes[this.#size++] = QUOTE;
    this.piece(start, end);
    if (this.#size < this.#bytes.length) this.#bytes[this.#size++] = QUOTE;
    else this.byte(QUOTE);
  }

  /** A string of so many bytes will follow in pieces: it is refused before it has been looked at. */
  expect(size: number): void {
    if (this.#blockBytes + this.#size + size + 2 > JSON_BYTES_MAX) refuseSize();
  }

  /** The same without quotes. */
  piece(start: number, end: number): void {
    this.#reserve(end - start);
    let { heap } = this.#memory;
    let bytes = this.#bytes;
    let size = this.#size;
    let seen = 0;
    let at = start;
    for (; at < end; at++) {
      const byte = heap[at] as number;
      if (byte < SPACE || byte === QUOTE || byte === BACKSLASH) break;
      seen |= byte;
      bytes[size++] = byte;
    }
    if (at < end) {
      let needed = 0;
      for (let i = at; i < end; i++) {
        const replacement = ESCAPES[heap[i] as number];
        seen |= heap[i] as number;
        needed += replacement === undefined ? 1 : replacement.length;
      }
      this.#size = size;
      this.#reserve(needed);
      heap = this.#memory.heap;
      bytes = this.#bytes;
      size = this.#size;
      for (; at < end; at++) {
        const replacement = ESCAPES[heap[at] as number];
        if (replacement === undefined) bytes[size++] = heap[at] as number;
        else for (let i = 0; i < replacement.length; i++) bytes[size++] = replacement.charCodeAt(i);
      }
    }
    if (seen >= 0x80 && !isUtf8(heap.subarray(start, end)))
      throw new LuaError('cannot encode as JSON: a string is not valid UTF-8');
    this.#size = size;
  }

  /** Makes a string of what has been written; true when it stands on top of the stack. */
  push(L: LuaThread): boolean {
    const size = this.#blockBytes + this.#size;
    if (this.#blocks.length === 0) {
      this.#state.pushBytes(L, this.#bytes.subarray(0, this.#size));
      return true;
    }
    if (size > JSON_BYTES_MAX) refuseSize();
    if (this.#at === 0) {
      this.#long ??= new BlankString(this.#state, size);
      this.#at = this.#long.step(L) ?? 0;
      return false;
    }
    return this.#copy();
  }

  /** Frees the memory that it holds inside the VM; call this where the text does not become a string. */
  cancel(): void {
    this.#long?.cancel();
    if (!this.#state.abandoned)
      for (let i = this.#copied; i < this.#blocks.length; i++)
        this.#state.exports.free((this.#blocks[i] as Block).address);
    this.#blocks.length = 0;
  }

  #copy(): boolean {
    const { heap } = this.#memory;
    const end = Math.min(this.#blocks.length, this.#copied + BLOCKS_PER_STEP);
    for (; this.#copied < end; this.#copied++) {
      const { address, size } = this.#blocks[this.#copied] as Block;
      heap.copyWithin(this.#at, address, address + size);
      this.#at += size;
      this.#state.exports.free(address);
    }
    this.#state.exports.pay((BLOCKS_PER_STEP * BLOCK_BYTES) / COPIED_BYTES_PER_UNIT);
    if (this.#copied < this.#blocks.length) return false;
    heap.set(this.#bytes.subarray(0, this.#size), this.#at);
    return true;
  }

  #reserve(size: number): void {
    const needed = this.#size + size;
    if (needed <= this.#bytes.length) return;
    if (this.#blockBytes + needed > JSON_BYTES_MAX) refuseSize();
    if (needed > BLOCK_BYTES) {
      this.#makeBlock();
      this.#reserve(size);
      return;
    }
    const grown = Buffer.allocUnsafe(Math.min(Math.max(2 * this.#bytes.length, needed), BLOCK_BYTES));
    this.#bytes.copy(grown, 0, 0, this.#size);
    this.#bytes = grown;
  }

  #makeBlock(): void {
    const size = this.#size;
    const address = this.#state.exports.malloc(size);
    if (address === 0) throw new RangeError('not enough memory');
    this.#memory.heap.set(this.#bytes.subarray(0, size), address);
    this.#blocks.push({ address, size });
    this.#blockBytes += size;
    this.#size = 0;
  }
}

function refuseSize(): never {
  throw new LuaError(`cannot encode as JSON: the text has more bytes than the limit of ${JSON_BYTES_MAX}`);
}
