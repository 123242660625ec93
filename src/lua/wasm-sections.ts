/** The sections of a WebAssembly module: taken apart, added to, joined again (core specification §5.5). */
import { unsigned } from './leb128.ts';
import { concatenate, Reader, RewriteError } from './wasm-reader.ts';

const HEADER_BYTES = 8;
export const SECTION = {
  type: 1,
  import: 2,
  function: 3,
  memory: 5,
  global: 6,
  export: 7,
  element: 9,
  code: 10,
  data: 11,
} as const;
export const KIND = { function: 0, table: 1, memory: 2, global: 3 } as const;
const LIMITS_WITH_MAXIMUM = 1;

interface Section {
  readonly id: number;
  body: Uint8Array;
}

export function readSections(module: Uint8Array): Section[] {
  const magic = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  if (!magic.every((byte, i) => module[i] === byte))
    throw new RewriteError('Not a WebAssembly module, version 1');
  const reader = new Reader(module, HEADER_BYTES);
  const sections: Section[] = [];
  while (reader.position < module.length) {
    const id = reader.byte();
    const size = reader.u32();
    sections.push({ id, body: reader.take(size) });
  }
  return sections;
}

export function find(sections: readonly Section[], id: number): Section {
  const section = sections.find((candidate) => candidate.id === id);
  if (section === undefined) throw new RewriteError(`Section ${id} is missing`);
  return section;
}

/** How many functions and globals are imported, and the index of the function to call. */
export function readImports(
  body: Uint8Array,
  hostCall: string,
): { functions: number; globals: number; hostCall: number } {
  const reader = new Reader(body);
  let functions = 0;
  let globals = 0;
  let found: number | undefined;
  for (let n = reader.u32(); n > 0; n--) {
    const name = `${reader.name()}.${reader.name()}`;
    switch (reader.byte()) {
      case KIND.function:
        if (name === hostCall) found = functions;
        reader.skipLeb();
        functions += 1;
        break;
      case KIND.table:
        reader.skip(1);
        skipLimits(reader);
        break;
      case KIND.memory:
        skipLimits(reader);
        break;
      case KIND.global:
        reader.skip(2);
        globals += 1;
        break;
      default:
        throw new RewriteError(`Import "${name}" has an unknown kind`);
    }
  }
  if (found === undefined) throw new RewriteError(`Import "${hostCall}" is missing`);
  return { functions, globals, hostCall: found };
}

function skipLimits(reader: Reader): void {
  const flags = reader.byte();
  reader.skipLeb();
  if ((flags & LIMITS_WITH_MAXIMUM) !== 0) reader.skipLeb();
}

/** A memory section of one memory with another maximum, which is never below its minimum. */
export function withMaximum(body: Uint8Array, pagesMax: number): Uint8Array {
  const reader = new Reader(body);
  if (reader.u32() !== 1) throw new RewriteError('The module has not exactly one memory');
  reader.byte();
  const minimum = reader.u32();
  if (pagesMax < minimum) {
    throw new RewriteError(`Memory of ${pagesMax} pages is less than the module needs: ${minimum} pages`);
  }
  return Uint8Array.from([1, LIMITS_WITH_MAXIMUM, ...unsigned(minimum), ...unsigned(pagesMax)]);
}

/** The module with another maximum of its own memory, in pages of 64 KiB. */
export function withMemoryMaximum(module: Uint8Array, pagesMax: number): Uint8Array<ArrayBuffer> {
  const sections = readSections(module);
  const memory = find(sections, SECTION.memory);
  memory.body = withMaximum(memory.body, pagesMax);
  return join(sections);
}

/** A vector (count, elements) with one element more. */
export function appendToVector(body: Uint8Array, element: readonly number[]): Uint8Array {
  const reader = new Reader(body);
  const count = reader.u32();
  return concatenate([
    Uint8Array.from(unsigned(count + 1)),
    body.subarray(reader.position),
    Uint8Array.from(element),
  ]);
}

export function join(sections: readonly Section[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [Uint8Array.from([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0])];
  for (const { id, body } of sections) parts.push(Uint8Array.from([id, ...unsigned(body.length)]), body);
  return concatenate(parts);
}

export function readExportedFunctions(exports: Uint8Array): Set<number> {
  const reader = new Reader(exports);
  const found = new Set<number>();
  for (let n = reader.u32(); n > 0; n--) {
    reader.name();
    const kind = reader.byte();
    const index = reader.u32();
    if (kind === KIND.function) found.add(index);
  }
  return found;
}
