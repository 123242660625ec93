/** Finds code in the functions of a WebAssembly module, and puts more in. */
import { unsigned } from './leb128.ts';
import { concatenate, Reader } from './wasm-reader.ts';

export interface CodeEdit {
  /** Where in the section the code is put in. */
  readonly at: number;
  readonly code: Uint8Array;
}

/** Puts code into functions, whose sizes are written anew. */
export function insertCode(body: Uint8Array, edits: readonly CodeEdit[]): Uint8Array {
  const reader = new Reader(body);
  const count = reader.u32();
  const parts: Uint8Array[] = [Uint8Array.from(unsigned(count))];
  for (let i = 0; i < count; i++) {
    const size = reader.u32();
    const start = reader.position;
    const code = reader.take(size);
    const edit = edits.find(({ at }) => at > start && at < start + size);
    const pieces =
      edit === undefined
        ? [code]
        : [code.subarray(0, edit.at - start), edit.code, code.subarray(edit.at - start)];
    parts.push(Uint8Array.from(unsigned(size + (edit?.code.length ?? 0))), ...pieces);
  }
  return concatenate(parts);
}

/** Bytes in hexadecimal; `#` stands for a number in LEB128. */
export function pattern(...lines: readonly string[]): RegExp {
  const bytes = lines.join(' ').split(' ');
  const source = bytes.map((byte) => (byte === '#' ? '([\\x80-\\xff]*[\\x00-\\x7f])' : `\\x${byte}`));
  return new RegExp(source.join(''), 's');
}
