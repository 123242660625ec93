/**
 * Lets the VM tell the host when a frame goes on whose hook has been taken away (`luaG_traceexec`).
 *
 * `lua_sethook` marks all frames of a thread, and each looks for hooks at its next instruction. Without a hook it only takes its own mark
 * away. So a hook that is set and taken away again leaves a mark on each frame that waits for a call, which costs nothing until the
 * call has returned: unlike a hook for returns, which every function in between would look at.
 */
import { unsigned } from './leb128.ts';
import { CALL_FIELD, THREAD_FIELD } from './thread-layout.ts';
import { insertCode, pattern } from './wasm-edits.ts';

/** `ci = L->ci; mask = L->hookmask; if (!(mask & (LUA_MASKLINE | LUA_MASKCOUNT))) { ci->u.l.trap = 0; return 0; }` */
const START = pattern(
  `20 00 28 02 ${hex(THREAD_FIELD.call)} 21 08 20 00 28 02 ${hex(THREAD_FIELD.hookMask)} 22 03 41 0c 71 45 04 40`,
  `20 08 41 00 36 02 ${hex(CALL_FIELD.trap)} 41 00 0f 0b`,
);

/** The body of the code section; as it is when the function cannot be found. The host function `hostCall` is told the thread. */
export function withFrameNotice(body: Uint8Array, hostCall: number): Uint8Array {
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1');
  const at = START.exec(text)?.index;
  if (at === undefined) return body;
  // `if (L->hookmask == 0) host(L)`: a hook that the host sets runs at this instruction
  const tell = [0x20, 0, 0x28, 2, THREAD_FIELD.hookMask, 0x45, 0x04, 0x40];
  return insertCode(body, [
    { at, code: Uint8Array.from([...tell, 0x20, 0, 0x10, ...unsigned(hostCall), 0x1a, 0x0b]) },
  ]);
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
