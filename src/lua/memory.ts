/** The only file that holds views of the wasm memory. A view becomes invalid when the memory grows, so this file makes it anew. */

import { readLatin1, writeLatin1 } from '../native/node-internals.ts';
import type { Address, CString, LuaExports } from './lua-exports.ts';

/** Bytes of the permanent scratch area; longer strings get an allocation of their own. */
const SCRATCH_BYTES = 64 * 1024;
/** Bytes up to which a loop copies a string faster than a native call does, measured on V8. */
const LOOP_LENGTH_MAX = 24;

/** Byte strings in and out of the VM: a JavaScript string holds one byte a character (latin1), never UTF-8. */
export class Memory {
  readonly #exports: LuaExports;
  #heap: Buffer;
  #words: Uint32Array;
  readonly #scratch: Address;
  /** Where `lua_tolstring` and friends put a size. */
  readonly sizeOut: Address;
  readonly #constants = new Map<string, CString>();

  constructor(exports: LuaExports) {
    this.#exports = exports;
    this.#heap = Buffer.from(exports.memory.buffer);
    this.#words = new Uint32Array(exports.memory.buffer);
    this.#scratch = exports.malloc(SCRATCH_BYTES);
    this.sizeOut = exports.malloc(16);
  }

  /** The current heap. Valid until the next call into the VM that can allocate. */
  get heap(): Buffer {
    if (this.#heap.length === 0) this.#refresh();
    return this.#heap;
  }

  /** Bytes of address space the VM has taken from the system; never shrinks. */
  get size(): number {
    return this.heap.length;
  }

  /** The unsigned 32-bit word at a 4-aligned address. */
  word(address: Address): number {
    if (this.#words.length === 0) this.#refresh();
    return this.#words[address >> 2] as number;
  }

  setWord(address: Address, value: number): void {
    if (this.#words.length === 0) this.#refresh();
    this.#words[address >> 2] = value;
  }

  /** The size last written to `sizeOut`. */
  get lastSize(): number {
    return this.word(this.sizeOut);
  }

  /** A copy of `size` bytes as a byte string. */
  readString(at: CString, size: number): string {
    const heap = this.heap;
    if (size > LOOP_LENGTH_MAX) return readLatin1(heap, at, at + size);
    let text = '';
    for (let i = 0; i < size; i++) text += String.fromCharCode(heap[at + i] as number);
    return text;
  }

  /** The same in one flat piece, for strings that are handed on as they are. */
  readText(at: CString, size: number): string {
    return readLatin1(this.heap, at, at + size);
  }

  /** A view of `size` bytes; the receiver has to copy them before the VM runs again. */
  view(at: CString, size: number): Uint8Array {
    return new Uint8Array(this.#exports.memory.buffer, at, size);
  }

  /** Puts a byte string into memory, calls `use` with its address and frees it. The result is that of `use`. */
  withString<T>(text: string, use: (at: CString, size: number) => T): T {
    const size = text.length;
    if (size <= SCRATCH_BYTES) return use(this.scratchString(text), size);
    const at = this.#allocate(size);
    try {
      this.#writeString(text, at);
      return use(at as unknown as CString, size);
    } finally {
      this.#exports.free(at);
    }
  }

  /** The same for bytes. */
  withBytes<T>(bytes: Uint8Array, use: (at: CString, size: number) => T): T {
    const size = bytes.length;
    if (size > SCRATCH_BYTES) return this.withCopy(bytes, use);
    this.heap.set(bytes, this.#scratch);
    return use(this.#scratch as unknown as CString, size);
  }

  /** The same in an allocation of its own: for uses that run Lua code, which may need the scratch area. */
  withCopy<T>(bytes: Uint8Array, use: (at: CString, size: number) => T): T {
    const size = bytes.length;
    const at = this.#allocate(size);
    try {
      this.heap.set(bytes, at);
      return use(at as unknown as CString, size);
    } finally {
      this.#exports.free(at);
    }
  }

  /** The scratch area if `size` bytes fit into it, until the next call of this class; undefined if they do not. */
  scratch(size: number): CString | undefined {
    return size <= SCRATCH_BYTES ? (this.#scratch as unknown as CString) : undefined;
  }

  /** Writes a byte string of at most 64 KiB into the scratch area. */
  scratchString(text: string): CString {
    this.#writeString(text, this.#scratch);
    return this.#scratch as unknown as CString;
  }

  /**
   * A NUL-terminated constant that stays for the life of the VM; the same address for the same text. Only for text that
   * no script chooses: nothing is ever freed.
   */
  constant(text: string): CString {
    let at = this.#constants.get(text);
    if (at === undefined) {
      at = this.#allocate(text.length + 1) as unknown as CString;
      this.#writeString(text, at as unknown as Address);
      this.heap[at + text.length] = 0;
      this.#constants.set(text, at);
    }
    return at;
  }

  /** `size` bytes of the VM's heap that the caller frees; throws RangeError when the VM has no memory left. */
  #allocate(size: number): Address {
    const at = this.#exports.malloc(size);
    if (at === 0) throw new RangeError('not enough memory');
    return at;
  }

  #writeString(text: string, at: Address): void {
    const heap = this.heap;
    const size = text.length;
    if (size > LOOP_LENGTH_MAX) writeLatin1(heap, text, at, size);
    else for (let i = 0; i < size; i++) heap[at + i] = text.charCodeAt(i);
  }

  #refresh(): void {
    this.#heap = Buffer.from(this.#exports.memory.buffer);
    this.#words = new Uint32Array(this.#exports.memory.buffer);
  }
}
