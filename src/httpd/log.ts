/** `httpd.log`: a line of a script's own in the gateway's log. */
import { keepsLevel, LOG_LEVELS } from '../base/logger.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import type { ScriptContext } from '../script/context/script-context.ts';

/** A longer line is cut (bytes). */
const LINE_BYTES_MAX = 64 * 1024;

/** `log(level, ...)`: its values as `print` shows them, with the id of the request or timer. */
export function createLog(script: ScriptContext): HostFunction {
  const { state } = script;
  return (L) => {
    const name = state.checkString(L, 1);
    const level = LOG_LEVELS.find((known) => known === name);
    if (level === undefined)
      return state.argumentError(L, 1, `unknown level '${name}' (${LOG_LEVELS.join(', ')})`);
    if (!keepsLevel(script.logger.level, level)) return 0;
    script.log.write(level, state.toDisplayStrings(L, 2, ' ', LINE_BYTES_MAX));
    return 0;
  };
}
