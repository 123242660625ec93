/**
 * Gives `a <= b` its meaning of Lua 5.3 where there is no `__le`: `not (b < a)`, by `__lt`. The Lua of most systems is
 * built so (LUA_COMPAT_5_3); wasmoon's is not, and no hook of the C API sees a comparison.
 *
 * Two functions of the VM end in the error of a comparison, `luaT_callorderTM` and `luaT_callorderiTM` (an operand is a
 * small integer). Both are found by their code, and make the second attempt before the error. A coroutine cannot yield in
 * that attempt: the VM would later take the result of `__lt` for that of `__le`. `L->nCcalls` says so meanwhile, as it
 * does below `table.sort`; an error puts the old count back (`luaD_rawrunprotected`).
 */
import { signed } from './leb128.ts';
import { THREAD_FIELD, UNYIELDABLE_CALL } from './thread-layout.ts';
import { type CodeEdit, insertCode, pattern } from './wasm-edits.ts';

/** Number of the event `__le`, and of `__lt`, in `TMS` (ltm.h). */
const TM_LE = 21;
const TM_LT = 20;
/** What makes a thread count one C call more that no yield can cross. */
const ONE_CALL_WITHOUT_YIELD = signed(UNYIELDABLE_CALL + 1);
/** Offset of a value's type tag. */
const TAG_OFFSET = 8;

/** How the two functions differ: where they keep operands and event, and what they do before they return. */
interface OrderFunction {
  /** Its code up to the error. The groups: the index of `callbinTM`, and of `luaG_ordererror`. */
  readonly code: RegExp;
  /** The locals with the operands in their order, and with the event. */
  readonly operands: readonly [number, number];
  readonly event: number;
  /** Code that gives its part of the C stack back. */
  readonly beforeReturn: readonly number[];
}

const ORDER_FUNCTIONS: readonly OrderFunction[] = [
  {
    code: pattern(
      '20 00 20 01 20 02 20 00 28 02 0c 20 03 10 # 04 40 20 00 28 02 0c 2d 00 08 22 00 41 01 47 20 00 41 0f 71 41 00 47 71 0f 0b',
      '20 00 20 01 20 02 10 # 00 0b',
    ),
    operands: [1, 2],
    event: 3,
    beforeReturn: [],
  },
  {
    code: pattern('20 00 28 02 0c 20 05 10 # 45 04 40', '20 00 20 02 20 01 10 # 00 0b'),
    operands: [2, 1],
    event: 5,
    // the stack pointer is global 0, the frame is local 6 and has 16 bytes
    beforeReturn: [0x20, 6, 0x41, 16, 0x6a, 0x24, 0],
  },
];

/** The body of the code section with both functions changed; as it is, when one of them cannot be found. */
export function withOrderFallback(body: Uint8Array): Uint8Array {
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1');
  const edits: CodeEdit[] = [];
  for (const order of ORDER_FUNCTIONS) {
    const match = order.code.exec(text);
    const [, callMetamethod, raise] = match ?? [];
    if (match === null || callMetamethod === undefined || raise === undefined) return body;
    // the operands and the call of the error, `unreachable`, `end`
    const errorBytes = 7 + raise.length + 2;
    edits.push({ at: match.index + match[0].length - errorBytes, code: attempt(order, callMetamethod) });
  }
  return insertCode(body, edits);
}

/** `if (event == TM_LE && callbinTM(L, p2, p1, L->top, TM_LT)) return l_isfalse(L->top)` */
function attempt({ operands, event, beforeReturn }: OrderFunction, callMetamethod: string): Uint8Array {
  const [first, second] = operands;
  const countCall = (operator: number): number[] => [
    ...[0x20, 0, 0x20, 0, 0x28, 2, THREAD_FIELD.calls],
    ...[0x41, ...ONE_CALL_WITHOUT_YIELD, operator, 0x36, 2, THREAD_FIELD.calls],
  ];
  return Uint8Array.from([
    ...[0x20, event, 0x41, TM_LE, 0x46, 0x04, 0x40],
    ...countCall(0x6a),
    ...[0x20, 0, 0x20, second, 0x20, first, 0x20, 0, 0x28, 2, THREAD_FIELD.top, 0x41, TM_LT],
    ...[0x10, ...Buffer.from(callMetamethod, 'latin1')],
    ...countCall(0x6b),
    ...[0x04, 0x40, ...beforeReturn],
    // tag == LUA_VFALSE || its type is nil
    ...[0x20, 0, 0x28, 2, THREAD_FIELD.top, 0x2d, 0, TAG_OFFSET, 0x22, 0],
    ...[0x41, 1, 0x46, 0x20, 0, 0x41, 0x0f, 0x71, 0x45, 0x72, 0x0f, 0x0b, 0x0b],
  ]);
}
