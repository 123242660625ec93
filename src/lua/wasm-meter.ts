/**
 * Decides where the code of a function uses fuel: each jump back takes one, copies take it by their size.
 *
 * Most jumps have a probe before them, which counts a global down and calls the host. V8 neither unrolls nor peels loops with
 * calls, which made those of one or two nanoseconds a round (`string.upper`) nearly twice as slow. So a loop without calls counts in a
 * local and is left when that is used up; the call stands outside, and then the loop goes on where it was:
 *
 *     block T                        where the loop ends
 *       loop
 *         local = fuel
 *         block
 *           loop T … if (--local < 0) br out; br again … end
 *           fuel = local
 *           br 2
 *         end                        `out`
 *         fuel = local
 *         host(…)
 *         br 0
 *       end
 *     end
 *
 * Each way out of the loop writes the local back, so that fuel says the same as with probes. The only difference is that a
 * conditional jump back that is not taken costs nothing.
 */
import { unsigned } from './leb128.ts';
import type { FunctionPlan, Step } from './wasm-functions.ts';

/** Replaces the bytes from `from` to `to`. */
interface Edit {
  readonly from: number;
  readonly to: number;
  readonly code: readonly number[];
}

/** The code that is put in; `local` is one of the function that nothing else uses. */
export interface MeterCode {
  /** `local = fuel - 1; fuel = local; if (local < bound) host(…)` */
  readonly probe: readonly number[];
  /** `fuel -= bytes / 16`, where the size of a copy or fill is on top of the stack. */
  readonly toll: readonly number[];
  /** `local = fuel`, or 0 when the host wants to be called at once. */
  readonly take: readonly number[];
  /** `fuel = local` */
  readonly give: readonly number[];
  /** `local -= 1`, and on the stack whether it is used up. */
  readonly count: readonly number[];
  /** `host(…)` */
  readonly callHost: readonly number[];
}

export interface MeterPlaces {
  /** Globals: the fuel, and one that holds the size of a copy while it is paid for. */
  readonly fuel: number;
  readonly size: number;
  readonly local: number;
  readonly hostCall: number;
  /** The host may raise an error in this function: the global that says below what. Undefined: it may not. */
  readonly raiseBelow: number | undefined;
}

/** Of a copy, as many bytes cost as much as one round of a loop: 2 to the power of this. */
const BYTES_PER_ROUND_LOG2 = 4;

const BLOCK = 0x02;
const LOOP = 0x03;
const IF = 0x04;
const UNREACHABLE = 0x00;
const END = 0x0b;
const BR = 0x0c;
const BR_IF = 0x0d;
const BR_TABLE = 0x0e;
const EMPTY = 0x40;
/** Block types without parameters: nothing, and f64 to i32. */
const SIMPLE_TYPES: readonly number[] = [EMPTY, 0x7c, 0x7d, 0x7e, 0x7f];
/** Blocks around a loop that has been moved. */
const BLOCKS_MORE = 3;

export function meterCode({ fuel, size, local, hostCall, raiseBelow }: MeterPlaces): MeterCode {
  const f = unsigned(fuel);
  const s = unsigned(size);
  const n = unsigned(local);
  const mayRaise = raiseBelow !== undefined;
  const callHost = [0x41, mayRaise ? 1 : 0, 0x10, ...unsigned(hostCall), 0x1a];
  return {
    probe: [
      ...[0x23, ...f, 0x41, 1, 0x6b, 0x22, ...n, 0x24, ...f],
      ...[0x20, ...n, ...(mayRaise ? [0x23, ...unsigned(raiseBelow)] : [0x41, 0]), 0x48],
      ...[0x04, EMPTY, ...callHost, END],
    ],
    toll: [
      ...[0x24, ...s, 0x23, ...f, 0x23, ...s],
      ...[0x41, BYTES_PER_ROUND_LOG2, 0x76, 0x6b, 0x24, ...f, 0x23, ...s],
    ],
    // nothing changes raiseBelow while no function is called; it is 0, or more than there ever is
    take: [
      ...[0x23, ...f],
      ...(mayRaise ? [0x41, 0, 0x23, ...unsigned(raiseBelow), 0x45, 0x1b] : []),
      ...[0x21, ...n],
    ],
    give: [0x20, ...n, 0x24, ...f],
    count: [0x20, ...n, 0x41, 1, 0x6b, 0x22, ...n, 0x41, 0, 0x48],
    callHost,
  };
}

/** What has to be changed in the function, in the order of its code. */
export function meter({ steps }: FunctionPlan, code: MeterCode): Edit[] {
  const movable = findMovable(steps);
  const edits: Edit[] = [];
  const insert = (at: number, inserted: readonly number[]): void => {
    edits.push({ from: at, to: at, code: inserted });
  };
  /** The blocks that are open, outermost first: undefined is the function itself. */
  const open: (Step | undefined)[] = [undefined];
  /** Place in `open` of the loop that is being moved. */
  let moved = Number.POSITIVE_INFINITY;
  for (const step of steps) {
    const { kind, at, next, operands } = step;
    switch (kind) {
      case 'block':
      case 'loop':
        if (movable.has(step)) {
          moved = open.length;
          const type = operands[0] as number;
          const head = [BLOCK, type, LOOP, EMPTY, ...code.take, BLOCK, EMPTY, LOOP, type];
          edits.push({ from: at, to: next, code: head });
        }
        open.push(step);
        break;
      case 'end':
        open.pop();
        if (open.length === moved) {
          moved = Number.POSITIVE_INFINITY;
          const out = [...code.give, ...code.callHost, BR, 0, END, UNREACHABLE, END];
          insert(next, [...code.give, BR, 2, END, ...out]);
        }
        break;
      case 'br':
      case 'br_if':
      case 'br_table':
        if (moved < open.length) {
          edits.push({ from: at, to: next, code: jumpInMoved(step, open, moved, code) });
        } else if (operands.some((depth) => isLoop(targetOf(open, depth)))) insert(at, code.probe);
        break;
      case 'return':
        if (moved < open.length) insert(at, code.give);
        break;
      case 'copy':
        insert(at, code.toll);
        break;
      case 'call':
        break;
    }
  }
  return edits;
}

/** A jump inside the loop at `moved`, which has three blocks around it now. */
function jumpInMoved(
  { kind, operands }: Step,
  open: readonly (Step | undefined)[],
  moved: number,
  { probe, give, count }: MeterCode,
): number[] {
  const leaves = (depth: number): boolean => open.length - 1 - depth < moved;
  const newDepth = (depth: number, more = 0): number[] =>
    unsigned(depth + (leaves(depth) ? BLOCKS_MORE : 0) + more);
  if (kind === 'br_table') {
    const targets = operands.flatMap((depth) => newDepth(depth));
    return [...(operands.some(leaves) ? give : []), BR_TABLE, ...unsigned(operands.length - 1), ...targets];
  }
  const depth = operands[0] as number;
  const jump = (more: number): number[] => {
    // `out` is the block around the loop
    if (open.length - 1 - depth === moved) return [...count, BR_IF, ...unsigned(depth + more + 1), BR];
    if (!leaves(depth)) return [BR];
    return [...give, ...(isLoop(targetOf(open, depth)) ? probe : []), BR];
  };
  if (kind === 'br') return [...jump(0), ...newDepth(depth)];
  if (open.length - 1 - depth > moved) return [BR_IF, ...newDepth(depth)];
  // a value for the target is on the stack below the condition
  if (leaves(depth) && takesValue(targetOf(open, depth))) return [...give, BR_IF, ...newDepth(depth)];
  return [IF, EMPTY, ...jump(1), ...newDepth(depth, 1), END];
}

function targetOf(open: readonly (Step | undefined)[], depth: number): Step | undefined {
  return open[open.length - 1 - depth];
}

function isLoop(target: Step | undefined): boolean {
  return target?.kind === 'loop';
}

/** A jump to it may carry a value: it is the function, or a block that leaves one. */
function takesValue(target: Step | undefined): boolean {
  return target?.kind !== 'loop' && target?.operands[0] !== EMPTY;
}

/** Innermost loops that call and copy nothing, and that no table of jumps repeats. */
function findMovable(steps: readonly Step[]): Set<Step> {
  const found = new Set<Step>();
  const repeated = new Set<Step>();
  const open: (Step | undefined)[] = [undefined];
  const refuseOpen = (): void => {
    for (const block of open) if (block !== undefined) found.delete(block);
  };
  for (const step of steps) {
    switch (step.kind) {
      case 'loop':
        refuseOpen();
        if (SIMPLE_TYPES.includes(step.operands[0] as number)) found.add(step);
        open.push(step);
        break;
      case 'block':
        open.push(step);
        break;
      case 'end':
        open.pop();
        break;
      case 'call':
      case 'copy':
        refuseOpen();
        break;
      case 'br_table':
        if (step.operands.some((depth) => isLoop(targetOf(open, depth)))) refuseOpen();
        break;
      case 'br':
      case 'br_if': {
        const target = targetOf(open, step.operands[0] as number);
        if (target?.kind === 'loop') repeated.add(target);
        break;
      }
      case 'return':
        break;
    }
  }
  for (const loop of found) if (!repeated.has(loop)) found.delete(loop);
  return found;
}
