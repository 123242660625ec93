/** Sends Lua's warnings, of `warn` and of the VM itself, to the log; `@on` and `@off` work as in lua5.4. */
import { addHostWarning } from '../lua/host-functions.ts';
import { NULL } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import { readLatin1 } from '../native/node-internals.ts';

/** A longer warning is cut (bytes). */
const WARNING_BYTES_MAX = 8 * 1024;

export function installWarnings(state: State, log: (line: string) => void): void {
  let on = false;
  let parts = '';
  let continued = false;
  const warn = addHostWarning(state.exports, (text, more) => {
    const { heap } = state.memory;
    // no further than what is kept of it
    const piece = heap.subarray(text, text + WARNING_BYTES_MAX);
    const end = piece.indexOf(0);
    const part = readLatin1(piece, 0, end === -1 ? piece.length : end);
    if (!continued && !more && part.startsWith('@')) {
      if (part === '@on') on = true;
      else if (part === '@off') on = false;
      return;
    }
    if (parts.length < WARNING_BYTES_MAX) parts += part;
    continued = more;
    if (more) return;
    if (on) log(parts.slice(0, WARNING_BYTES_MAX));
    parts = '';
  });
  state.exports.lua_setwarnf(state.mainThread, warn, NULL);
}
