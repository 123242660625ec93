/**
 * Rewrites a WebAssembly module so that its host can bound it: the memory gets another maximum, every jump back
 * counts down a global `fuel` and calls the host when it is used up, and copies of memory take fuel by their size.
 * One function is added, by which others pay. Plain byte work on the binary format (WebAssembly core specification §5);
 * functions, types and indices stay as they are.
 */
import { signed, unsigned } from './leb128.ts';

export interface RewriteOptions {
  /** New maximum of the module's own memory, in pages of 64 KiB; undefined = as it is. */
  readonly memoryPagesMax: number | undefined;
  /** Imported function of type (i32) → i32, "module.name" (`env.system`), that is called with 0 when fuel is used up. */
  readonly hostCall: string;
  /** Name under which the fuel global (mutable i32) is exported. */
  readonly fuelName: string;
  /** Name of a function (i32) → () that is added: takes as much fuel, and calls the host when it is used up. */
  readonly payName: string;
  /** False: nothing uses fuel. What the counting costs is measured against that. */
  readonly counts: boolean;
  /** Loops in which the host may raise an error. */
  readonly interruptible?: InterruptibleOptions;
  /** Changes the body of the code section first. */
  readonly editCode?: (body: Uint8Array) => Uint8Array;
}

/** In the functions that are found each round calls the host with 1 when there is less fuel than a global says, which is 0 at first. */
interface InterruptibleOptions {
  readonly find: (facts: ModuleFacts) => ReadonlySet<number>;
  /** Name under which the global (mutable i32) is exported. */
  readonly globalName: string;
}

/** What is known of a module, by index of its functions, imported ones first. */
export interface ModuleFacts {
  /** Bodies of the element and the data section. */
  readonly elements: Uint8Array;
  readonly data: Uint8Array;
  readonly exported: ReadonlySet<number>;
  /** For each function of its own, from `firstOwn` on: whom it calls. */
  readonly calls: readonly (readonly number[])[];
  readonly firstOwn: number;
  /** The functions that have the number as a constant. */
  readonly withConstant: (value: number) => readonly number[];
}

/** The module is not what the rewriter can read. */
export class RewriteError extends Error {
  override readonly name = 'RewriteError';
}

const HEADER_BYTES = 8;
const SECTION = {
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
const KIND = { function: 0, table: 1, memory: 2, global: 3 } as const;
const I32 = 0x7f;
const FUNCTION_TYPE = 0x60;
const MUTABLE = 1;
const LIMITS_WITH_MAXIMUM = 1;

interface Section {
  readonly id: number;
  body: Uint8Array;
}

/** The rewritten module; throws RewriteError for what it does not understand. */
export function rewriteModule(module: Uint8Array, options: RewriteOptions): Uint8Array<ArrayBuffer> {
  const sections = readSections(module);
  const imports = readImports(find(sections, SECTION.import).body, options.hostCall);
  const global = find(sections, SECTION.global);
  const fuel = imports.globals + new Reader(global.body).u32();
  global.body = appendToVector(global.body, [I32, MUTABLE, 0x41, ...signed(FULL_FUEL), 0x0b]);
  // holds the size of a copy while it is paid for
  const size = fuel + 1;
  global.body = appendToVector(global.body, [I32, MUTABLE, 0x41, 0, 0x0b]);
  const raiseBelow = fuel + 2;
  global.body = appendToVector(global.body, [I32, MUTABLE, 0x41, 0, 0x0b]);
  const exports = find(sections, SECTION.export);
  exports.body = appendToVector(exports.body, exported(options.fuelName, KIND.global, fuel));
  const { interruptible } = options;
  if (interruptible !== undefined)
    exports.body = appendToVector(exports.body, exported(interruptible.globalName, KIND.global, raiseBelow));
  if (options.memoryPagesMax !== undefined) {
    const memory = find(sections, SECTION.memory);
    memory.body = withMaximum(memory.body, options.memoryPagesMax);
  }
  const code = find(sections, SECTION.code);
  code.body = options.editCode?.(code.body) ?? code.body;
  if (options.counts) {
    const functions = readFunctions(
      code.body,
      readParameterCounts(find(sections, SECTION.type).body, find(sections, SECTION.function).body),
    );
    const found = interruptible?.find({
      elements: find(sections, SECTION.element).body,
      data: find(sections, SECTION.data).body,
      exported: readExportedFunctions(exports.body),
      calls: functions.map(({ calls }) => calls),
      firstOwn: imports.functions,
      withConstant: (value) => withConstant(code.body, functions, value).map((i) => i + imports.functions),
    });
    const mayRaise = (i: number): boolean => found?.has(i + imports.functions) === true;
    code.body = instrument(
      code.body,
      functions,
      (i, local) => probe(fuel, imports.hostCall, local, mayRaise(i) ? raiseBelow : undefined),
      toll(fuel, size),
    );
  }
  const types = find(sections, SECTION.type);
  const functions = find(sections, SECTION.function);
  const pay = imports.functions + new Reader(functions.body).u32();
  functions.body = appendToVector(functions.body, unsigned(new Reader(types.body).u32()));
  types.body = appendToVector(types.body, [FUNCTION_TYPE, 1, I32, 0]);
  exports.body = appendToVector(exports.body, exported(options.payName, KIND.function, pay));
  code.body = appendToVector(code.body, payFunction(options.counts ? payment(fuel, imports.hostCall) : []));
  return join(sections);
}

/** An element of the export section. */
function exported(name: string, kind: number, index: number): number[] {
  const bytes = [...Buffer.from(name)];
  return [...unsigned(bytes.length), ...bytes, kind, ...unsigned(index)];
}

/** An element of the code section: no locals, `body`, end. */
function payFunction(body: readonly number[]): number[] {
  return [...unsigned(body.length + 2), 0, ...body, 0x0b];
}

/** `units = fuel - units; fuel = units; if (units < 0) host(0)`, where `units` is the parameter. */
function payment(fuel: number, hostCall: number): number[] {
  const g = unsigned(fuel);
  return [
    ...[0x23, ...g, 0x20, 0, 0x6b, 0x22, 0, 0x24, ...g],
    ...[0x20, 0, 0x41, 0, 0x48],
    ...[0x04, 0x40, 0x41, 0, 0x10, ...unsigned(hostCall), 0x1a, 0x0b],
  ];
}

/** Fuel a fresh instance starts with: enough for its start-up; the host sets its own before it runs scripts. */
const FULL_FUEL = 0x7fff_ffff;

/** `local = fuel - 1; fuel = local; if (local < bound) host(…)`: 0 and 0, or a global and 1. */
function probe(fuel: number, hostCall: number, local: number, bound: number | undefined): Uint8Array {
  const g = unsigned(fuel);
  const n = unsigned(local);
  return Uint8Array.from([
    ...[0x23, ...g, 0x41, 1, 0x6b, 0x22, ...n, 0x24, ...g],
    ...[0x20, ...n, ...(bound === undefined ? [0x41, 0] : [0x23, ...unsigned(bound)]), 0x48],
    ...[0x04, 0x40, 0x41, bound === undefined ? 0 : 1, 0x10, ...unsigned(hostCall), 0x1a, 0x0b],
  ]);
}

/** Of a copy, as many bytes cost as much as one round of a loop: 2 to the power of this. */
const BYTES_PER_ROUND_LOG2 = 4;

/** `fuel -= bytes / 16`, where the size of a copy or fill is on top of the stack. */
function toll(fuel: number, size: number): Uint8Array {
  const f = unsigned(fuel);
  const n = unsigned(size);
  return Uint8Array.from([
    ...[0x24, ...n, 0x23, ...f, 0x23, ...n],
    ...[0x41, BYTES_PER_ROUND_LOG2, 0x76, 0x6b, 0x24, ...f, 0x23, ...n],
  ]);
}

/** Where a function has what. */
interface FunctionPlan {
  /** Its groups of locals, where they stand, and how many locals and parameters there are. */
  readonly groups: number;
  readonly groupsAt: number;
  readonly locals: number;
  readonly codeAt: number;
  readonly end: number;
  /** What has to be paid before the instruction there. */
  readonly costs: readonly { readonly at: number; readonly cost: Cost }[];
  readonly calls: readonly number[];
}

/** Reads all function bodies. */
function readFunctions(body: Uint8Array, parameterCounts: readonly number[]): FunctionPlan[] {
  const reader = new Reader(body);
  const plans: FunctionPlan[] = [];
  const count = reader.u32();
  for (let i = 0; i < count; i++) {
    const size = reader.u32();
    const end = reader.position + size;
    const groups = reader.u32();
    const groupsAt = reader.position;
    let locals = parameterCounts[i] ?? 0;
    for (let g = 0; g < groups; g++) {
      locals += reader.u32();
      reader.byte();
    }
    const codeAt = reader.position;
    const costs: { at: number; cost: Cost }[] = [];
    const calls: number[] = [];
    /** The blocks that are open, outermost first: true for a loop. */
    const blocks: boolean[] = [false];
    while (reader.position < end) {
      const at = reader.position;
      const cost = readInstruction(reader, blocks, calls);
      if (cost !== 'none') costs.push({ at, cost });
    }
    if (reader.position !== end) throw new RewriteError(`Function ${i} ends inside an instruction`);
    plans.push({ groups, groupsAt, locals, codeAt, end, costs, calls });
  }
  return plans;
}

/** Copies all function bodies with a probe before every jump to the start of a loop and `toll` before every copy. */
function instrument(
  body: Uint8Array,
  functions: readonly FunctionPlan[],
  makeProbe: (index: number, local: number) => Uint8Array,
  toll: Uint8Array,
): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.from(unsigned(functions.length))];
  functions.forEach(({ groups, groupsAt, locals, codeAt, end, costs }, i) => {
    // one local more, for the probes
    const pieces = [Uint8Array.from(unsigned(groups + 1)), body.subarray(groupsAt, codeAt), ONE_I32];
    const probe = makeProbe(i, locals);
    let copied = codeAt;
    for (const { at, cost } of costs) {
      pieces.push(body.subarray(copied, at), cost === 'round' ? probe : toll);
      copied = at;
    }
    pieces.push(body.subarray(copied, end));
    parts.push(Uint8Array.from(unsigned(pieces.reduce((sum, piece) => sum + piece.length, 0))), ...pieces);
  });
  return concatenate(parts);
}

/** Places of the functions that have `i32.const value`. */
function withConstant(body: Uint8Array, functions: readonly FunctionPlan[], value: number): number[] {
  const code = Buffer.from(body.buffer, body.byteOffset, body.length);
  const instruction = Buffer.from([0x41, ...signed(value)]);
  const found: number[] = [];
  for (let at = code.indexOf(instruction); at >= 0; at = code.indexOf(instruction, at + 1))
    found.push(functions.findIndex(({ end }) => at < end));
  return found;
}

function readExportedFunctions(exports: Uint8Array): Set<number> {
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

/** A group of locals: how many, and their type. */
const ONE_I32 = Uint8Array.from([1, I32]);

/** How many parameters each function of the module's own has. */
function readParameterCounts(types: Uint8Array, functions: Uint8Array): number[] {
  const typeReader = new Reader(types);
  const counts: number[] = [];
  for (let n = typeReader.u32(); n > 0; n--) {
    if (typeReader.byte() !== FUNCTION_TYPE) throw new RewriteError('A type is not one of functions');
    const count = typeReader.u32();
    counts.push(count);
    typeReader.skip(count);
    typeReader.skip(typeReader.u32());
  }
  const reader = new Reader(functions);
  const own: number[] = [];
  for (let n = reader.u32(); n > 0; n--) {
    const count = counts[reader.u32()];
    if (count === undefined) throw new RewriteError('A function has an unknown type');
    own.push(count);
  }
  return own;
}

/** What an instruction has to pay before it runs. */
type Cost = 'none' | 'round' | 'copy';

/** Reads one instruction and keeps the lists of open blocks and of functions that are called. */
function readInstruction(reader: Reader, blocks: boolean[], calls: number[]): Cost {
  const opcode = reader.byte();
  switch (opcode) {
    case 0x02: // block
    case 0x03: // loop
    case 0x04: // if
      skipBlockType(reader);
      blocks.push(opcode === 0x03);
      return 'none';
    case 0x0b: // end
      blocks.pop();
      return 'none';
    case 0x0c: // br
    case 0x0d: // br_if
      return isLoop(blocks, reader.u32()) ? 'round' : 'none';
    case 0x0e: {
      // br_table
      let cost: Cost = 'none';
      for (let n = reader.u32() + 1; n > 0; n--) if (isLoop(blocks, reader.u32())) cost = 'round';
      return cost;
    }
    case 0x10: // call
      calls.push(reader.u32());
      return 'none';
    case 0xd2: // ref.func
    case 0x41: // i32.const
    case 0x42: // i64.const
      reader.skipLeb();
      return 'none';
    case 0x11: // call_indirect
      reader.skipLeb();
      reader.skipLeb();
      return 'none';
    case 0x1c: // select with types
      reader.skip(reader.u32());
      return 'none';
    case 0x3f: // memory.size
    case 0x40: // memory.grow
    case 0xd0: // ref.null
      reader.skip(1);
      return 'none';
    case 0x43: // f32.const
      reader.skip(4);
      return 'none';
    case 0x44: // f64.const
      reader.skip(8);
      return 'none';
    case 0xfc:
      return readExtended(reader);
  }
  if (opcode >= 0x20 && opcode <= 0x26) reader.skipLeb();
  else if (opcode >= 0x28 && opcode <= 0x3e) {
    // loads and stores: alignment and offset
    reader.skipLeb();
    reader.skipLeb();
  } else if (!isPlain(opcode)) throw new RewriteError(`Opcode 0x${opcode.toString(16)} is not known`);
  return 'none';
}

/** True when a jump out of `depth` blocks goes to the start of one. */
function isLoop(blocks: readonly boolean[], depth: number): boolean {
  return blocks[blocks.length - 1 - depth] === true;
}

/** Instructions without operands: control, drop, select, comparison, arithmetic, conversion, sign extension. */
function isPlain(opcode: number): boolean {
  return (
    opcode === 0x00 ||
    opcode === 0x01 ||
    opcode === 0x05 ||
    opcode === 0x0f ||
    opcode === 0x1a ||
    opcode === 0x1b ||
    opcode === 0xd1 ||
    (opcode >= 0x45 && opcode <= 0xc4)
  );
}

/** 0xfc: saturating conversions (no operand), bulk memory and table instructions. */
function readExtended(reader: Reader): Cost {
  const extended = reader.u32();
  if (extended <= 7) return 'none';
  if (extended > 17) throw new RewriteError(`Opcode 0xfc ${extended} is not known`);
  reader.skipLeb();
  // memory.init, memory.copy, table.init and table.copy have two operands, the others one
  if (extended === 8 || extended === 10 || extended === 12 || extended === 14) reader.skipLeb();
  return extended === 10 || extended === 11 ? 'copy' : 'none';
}

/** Empty, a value type, or a type index: one LEB128 number in every case. */
function skipBlockType(reader: Reader): void {
  reader.skipLeb();
}

function readSections(module: Uint8Array): Section[] {
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

function find(sections: readonly Section[], id: number): Section {
  const section = sections.find((candidate) => candidate.id === id);
  if (section === undefined) throw new RewriteError(`Section ${id} is missing`);
  return section;
}

/** How many functions and globals are imported, and the index of the function to call. */
function readImports(
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
function withMaximum(body: Uint8Array, pagesMax: number): Uint8Array {
  const reader = new Reader(body);
  if (reader.u32() !== 1) throw new RewriteError('The module has not exactly one memory');
  reader.byte();
  const minimum = reader.u32();
  if (pagesMax < minimum) {
    throw new RewriteError(`Memory of ${pagesMax} pages is less than the module needs: ${minimum} pages`);
  }
  return Uint8Array.from([1, LIMITS_WITH_MAXIMUM, ...unsigned(minimum), ...unsigned(pagesMax)]);
}

/** A vector (count, elements) with one element more. */
function appendToVector(body: Uint8Array, element: readonly number[]): Uint8Array {
  const reader = new Reader(body);
  const count = reader.u32();
  return concatenate([
    Uint8Array.from(unsigned(count + 1)),
    body.subarray(reader.position),
    Uint8Array.from(element),
  ]);
}

function join(sections: readonly Section[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [Uint8Array.from([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0])];
  for (const { id, body } of sections) parts.push(Uint8Array.from([id, ...unsigned(body.length)]), body);
  return concatenate(parts);
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Reads the binary format; throws RewriteError past the end. */
export class Reader {
  position: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, position = 0) {
    this.#bytes = bytes;
    this.position = position;
  }

  byte(): number {
    const byte = this.#bytes[this.position];
    if (byte === undefined) throw new RewriteError('The module ends too early');
    this.position += 1;
    return byte;
  }

  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw new RewriteError('A number is longer than 32 bits');
  }

  skipLeb(): void {
    while ((this.byte() & 0x80) !== 0);
  }

  skip(count: number): void {
    this.position += count;
  }

  take(count: number): Uint8Array {
    const end = this.position + count;
    if (end > this.#bytes.length) throw new RewriteError('The module ends too early');
    const part = this.#bytes.subarray(this.position, end);
    this.position = end;
    return part;
  }

  name(): string {
    return Buffer.from(this.take(this.u32())).toString();
  }
}
