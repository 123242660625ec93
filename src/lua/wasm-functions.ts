/** Function bodies of a WebAssembly module: their blocks, jumps, calls and copies of memory (core specification §5.4). */
import { signed } from './leb128.ts';
import { Reader, RewriteError } from './wasm-reader.ts';

/** A type of the type section that is one of functions. */
export const FUNCTION_TYPE = 0x60;

/** Where a function has what. */
export interface FunctionPlan {
  /** Its groups of locals, where they stand, and how many locals and parameters there are. */
  readonly groups: number;
  readonly groupsAt: number;
  readonly locals: number;
  readonly codeAt: number;
  readonly end: number;
  /** What decides where fuel is used, in the order of the code. */
  readonly steps: readonly Step[];
  readonly calls: readonly number[];
}

/** An instruction that opens or closes a block (`if` is one), jumps, leaves the function, calls, or copies memory. */
export interface Step {
  readonly kind: StepKind;
  /** Its first byte, and that of the next instruction. */
  readonly at: number;
  readonly next: number;
  /** Of a block or loop its type; of a jump out of how many blocks it goes. */
  readonly operands: readonly number[];
}

type StepKind = 'block' | 'loop' | 'end' | 'br' | 'br_if' | 'br_table' | 'return' | 'call' | 'copy';

/** Reads all function bodies. */
export function readFunctions(body: Uint8Array, parameterCounts: readonly number[]): FunctionPlan[] {
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
    const steps: Step[] = [];
    const calls: number[] = [];
    while (reader.position < end) {
      const at = reader.position;
      const operands: number[] = [];
      const kind = readInstruction(reader, operands, calls);
      if (kind !== undefined) steps.push({ kind, at, next: reader.position, operands });
    }
    if (reader.position !== end) throw new RewriteError(`Function ${i} ends inside an instruction`);
    plans.push({ groups, groupsAt, locals, codeAt, end, steps, calls });
  }
  return plans;
}

/** Places of the functions that have `i32.const value`. */
export function withConstant(body: Uint8Array, functions: readonly FunctionPlan[], value: number): number[] {
  const code = Buffer.from(body.buffer, body.byteOffset, body.length);
  const instruction = Buffer.from([0x41, ...signed(value)]);
  const found: number[] = [];
  for (let at = code.indexOf(instruction); at >= 0; at = code.indexOf(instruction, at + 1))
    found.push(functions.findIndex(({ end }) => at < end));
  return found;
}

/** How many parameters each function of the module's own has. */
export function readParameterCounts(types: Uint8Array, functions: Uint8Array): number[] {
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

/** Reads one instruction: what kind of step it is, and what it calls. */
function readInstruction(reader: Reader, operands: number[], calls: number[]): StepKind | undefined {
  const opcode = reader.byte();
  switch (opcode) {
    case 0x02: // block
    case 0x04: // if
      operands.push(readBlockType(reader));
      return 'block';
    case 0x03:
      operands.push(readBlockType(reader));
      return 'loop';
    case 0x0b:
      return 'end';
    case 0x0c:
      operands.push(reader.u32());
      return 'br';
    case 0x0d:
      operands.push(reader.u32());
      return 'br_if';
    case 0x0e:
      for (let n = reader.u32() + 1; n > 0; n--) operands.push(reader.u32());
      return 'br_table';
    case 0x0f:
      return 'return';
    case 0x10:
      calls.push(reader.u32());
      return 'call';
    case 0xd2: // ref.func
    case 0x41: // i32.const
    case 0x42: // i64.const
      reader.skipLeb();
      return undefined;
    case 0x11: // call_indirect
      reader.skipLeb();
      reader.skipLeb();
      return 'call';
    case 0x1c: // select with types
      reader.skip(reader.u32());
      return undefined;
    case 0x3f: // memory.size
    case 0x40: // memory.grow
    case 0xd0: // ref.null
      reader.skip(1);
      return undefined;
    case 0x43: // f32.const
      reader.skip(4);
      return undefined;
    case 0x44: // f64.const
      reader.skip(8);
      return undefined;
    case 0xfc:
      return readExtended(reader);
  }
  if (opcode >= 0x20 && opcode <= 0x26) reader.skipLeb();
  else if (opcode >= 0x28 && opcode <= 0x3e) {
    // loads and stores: alignment and offset
    reader.skipLeb();
    reader.skipLeb();
  } else if (!isPlain(opcode)) throw new RewriteError(`Opcode 0x${opcode.toString(16)} is not known`);
  return undefined;
}

/** Instructions without operands: control, drop, select, comparison, arithmetic, conversion, sign extension. */
function isPlain(opcode: number): boolean {
  return (
    opcode === 0x00 ||
    opcode === 0x01 ||
    opcode === 0x05 ||
    opcode === 0x1a ||
    opcode === 0x1b ||
    opcode === 0xd1 ||
    (opcode >= 0x45 && opcode <= 0xc4)
  );
}

/** 0xfc: saturating conversions (no operand), bulk memory and table instructions. */
function readExtended(reader: Reader): StepKind | undefined {
  const extended = reader.u32();
  if (extended <= 7) return undefined;
  if (extended > 17) throw new RewriteError(`Opcode 0xfc ${extended} is not known`);
  reader.skipLeb();
  // memory.init, memory.copy, table.init and table.copy have two operands, the others one
  if (extended === 8 || extended === 10 || extended === 12 || extended === 14) reader.skipLeb();
  return extended === 10 || extended === 11 ? 'copy' : undefined;
}

/** Empty, a value type, or a type index: one LEB128 number in every case. A type of one byte is that byte. */
function readBlockType(reader: Reader): number {
  const first = reader.byte();
  if ((first & 0x80) !== 0) reader.skipLeb();
  return first;
}
