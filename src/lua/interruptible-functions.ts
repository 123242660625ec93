/**
 * Finds the functions of Lua's module in whose loops an error may be raised: those of the libraries `string`, `table` and
 * `utf8`, and the compiler. They keep nothing but what Lua's own errors let go, and call what may raise one anyway. The
 * loops of the machine itself (tables, collector) must come to their end.
 *
 * The module has no names. Libraries are found by their lists of names and functions (`luaL_Reg`), the compiler by one of its
 * messages; what they call counts when nobody else calls it. What is not found is not interrupted.
 */
import { Reader } from './wasm-reader.ts';
import type { ModuleFacts } from './wasm-rewriter.ts';

/** The first names of each library's list, in the order of its source. */
const LIBRARIES: readonly (readonly string[])[] = [
  ['byte', 'char', 'dump', 'find', 'format', 'gmatch', 'gsub', 'len', 'lower', 'match', 'rep', 'reverse'],
  ['concat', 'insert', 'pack', 'unpack', 'remove', 'move', 'sort'],
  ['offset', 'codepoint', 'char', 'len', 'codes'],
];
/** Entries of a list at most, and bytes of one: address of the name, index in the function table. */
const ENTRIES_MAX = 64;
const ENTRY_BYTES = 8;
/** Of a statement `for`. */
const COMPILER_MESSAGE = "'=' or 'in' expected";

const I32_CONST = 0x41;
const END = 0x0b;
const ACTIVE = 0;

export function findInterruptible(facts: ModuleFacts): Set<number> {
  const table = readTable(facts.elements);
  const image = readImage(facts.data);
  if (table === undefined || image === undefined) return new Set();
  const inTable = new Set(table.values());
  const callers = new Map<number, number[]>();
  facts.calls.forEach((callees, i) => {
    for (const callee of callees) {
      const known = callers.get(callee);
      if (known === undefined) callers.set(callee, [i + facts.firstOwn]);
      else known.push(i + facts.firstOwn);
    }
  });
  const callersOf = (index: number): readonly number[] => callers.get(index) ?? [];
  const isPrivate = (index: number): boolean =>
    index >= facts.firstOwn && !facts.exported.has(index) && !inTable.has(index);
  const calleesOf = (index: number): readonly number[] => facts.calls[index - facts.firstOwn] ?? [];

  /** The roots, and what is called by nobody but them and itself; `others` may call it, too. */
  const closure = (roots: ReadonlySet<number>, others: ReadonlySet<number>): Set<number> => {
    const reached = new Set(roots);
    for (const index of reached)
      for (const callee of calleesOf(index)) if (isPrivate(callee)) reached.add(callee);
    for (let changed = true; changed; ) {
      changed = false;
      for (const index of reached) {
        if (roots.has(index) || callersOf(index).every((by) => reached.has(by) || others.has(by))) continue;
        reached.delete(index);
        changed = true;
      }
    }
    return reached;
  };

  const roots = new Set<number>();
  for (const names of LIBRARIES) for (const index of readList(image, names, table)) roots.add(index);
  // closures that the libraries make, as that of gmatch, stand in the table, too
  const own = closure(roots, inTable);
  for (const index of inTable)
    if (!facts.exported.has(index) && calleesOf(index).some((callee) => own.has(callee) && isPrivate(callee)))
      roots.add(index);
  const compiler = findCompiler(facts, image, inTable, callersOf);
  if (compiler !== undefined) roots.add(compiler);
  for (const index of facts.exported) roots.delete(index);
  return closure(roots, new Set());
}

/** The function of the table by way of which the one with the message is called. */
function findCompiler(
  facts: ModuleFacts,
  image: Image,
  inTable: ReadonlySet<number>,
  callersOf: (index: number) => readonly number[],
): number | undefined {
  const at = image.bytes.indexOf(`\0${COMPILER_MESSAGE}\0`, 0, 'latin1');
  if (at < 0) return undefined;
  const address = image.start + at + 1;
  const above = new Set(facts.withConstant(address));
  for (const index of above) for (const by of callersOf(index)) above.add(by);
  const entries = [...above].filter((index) => inTable.has(index));
  return entries.length === 1 && ![...above].some((index) => facts.exported.has(index))
    ? entries[0]
    : undefined;
}

/** The functions of a list that begins with `names`. */
function readList(
  image: Image,
  names: readonly string[],
  table: ReadonlyMap<number, number>,
): readonly number[] {
  const { bytes, start } = image;
  const text = (address: number): string => {
    const from = address - start;
    if (from < 0 || from >= bytes.length) return '';
    return bytes.toString('latin1', from, Math.min(bytes.indexOf(0, from), from + 32));
  };
  const [first = ''] = names;
  const word = Buffer.alloc(4);
  for (let at = bytes.indexOf(`${first}\0`, 0, 'latin1'); at >= 0; ) {
    word.writeUInt32LE(start + at);
    for (let list = bytes.indexOf(word); list >= 0; list = bytes.indexOf(word, list + 1)) {
      if (!names.every((name, i) => text(bytes.readUInt32LE(list + i * ENTRY_BYTES)) === name)) continue;
      const found: number[] = [];
      for (let i = 0; i < ENTRIES_MAX && bytes.readUInt32LE(list + i * ENTRY_BYTES) !== 0; i++) {
        const index = table.get(bytes.readUInt32LE(list + i * ENTRY_BYTES + 4));
        if (index !== undefined) found.push(index);
      }
      return found;
    }
    at = bytes.indexOf(`${first}\0`, at + 1, 'latin1');
  }
  return [];
}

/** The function table: place → function. */
function readTable(elements: Uint8Array): Map<number, number> | undefined {
  const reader = new Reader(elements);
  const table = new Map<number, number>();
  for (let n = reader.u32(); n > 0; n--) {
    if (reader.u32() !== ACTIVE) return undefined;
    const offset = readOffset(reader);
    if (offset === undefined) return undefined;
    const count = reader.u32();
    for (let i = 0; i < count; i++) table.set(offset + i, reader.u32());
  }
  return table;
}

/** What the module puts into memory at its start: `bytes` from address `start` on. */
interface Image {
  readonly start: number;
  readonly bytes: Buffer;
}

function readImage(data: Uint8Array): Image | undefined {
  const reader = new Reader(data);
  const segments: { offset: number; bytes: Uint8Array }[] = [];
  for (let n = reader.u32(); n > 0; n--) {
    if (reader.u32() !== ACTIVE) return undefined;
    const offset = readOffset(reader);
    if (offset === undefined) return undefined;
    segments.push({ offset, bytes: reader.take(reader.u32()) });
  }
  const start = Math.min(...segments.map(({ offset }) => offset));
  const end = Math.max(...segments.map(({ offset, bytes }) => offset + bytes.length));
  // room for a list that ends with the image
  const bytes = Buffer.alloc(end - start + (ENTRIES_MAX + 1) * ENTRY_BYTES);
  for (const segment of segments) bytes.set(segment.bytes, segment.offset - start);
  return { start, bytes };
}

/** `i32.const n, end` */
function readOffset(reader: Reader): number | undefined {
  if (reader.byte() !== I32_CONST) return undefined;
  const offset = reader.u32();
  return reader.byte() === END ? offset : undefined;
}
