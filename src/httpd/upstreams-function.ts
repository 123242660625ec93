/** httpd.upstreams: what the gateway knows of the servers that httpd.proxy has passed requests of this mapping on to. */
import type { HostFunction } from '../lua/host-functions.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';

/** To look through the rows of all mappings (20 µs), and to make the table of one server. */
const UNITS_PER_CALL = 4000;
const UNITS_PER_SERVER = 800;

/** `httpd.upstreams()`: a list of tables. */
export function createUpstreams(script: ScriptContext): HostFunction {
  const { state, scheduler, proxies } = script;
  const { exports: x, memory } = state;
  const servers = proxies.groupOf(script.mappingName, script.logger);

  return (L) => {
    checkArgumentCount(state, L, 'upstreams', 0);
    scheduler.guard.pay(UNITS_PER_CALL);
    const views = servers.view();
    scheduler.guard.pay(views.length * UNITS_PER_SERVER);
    x.lua_createtable(L, views.length, 0);
    for (const [i, { name, healthy, inFlight, fails, checks, failedChecks }] of views.entries()) {
      x.lua_createtable(L, 0, 6);
      state.pushString(L, Buffer.from(name).toString('latin1'));
      x.lua_setfield(L, -2, memory.constant('name'));
      x.lua_pushboolean(L, healthy ? 1 : 0);
      x.lua_setfield(L, -2, memory.constant('healthy'));
      const counts = { waiting: inFlight, fails, checks, failed_checks: failedChecks };
      for (const [field, count] of Object.entries(counts)) {
        state.pushInteger(L, count);
        x.lua_setfield(L, -2, memory.constant(field));
      }
      x.lua_rawseti(L, -2, BigInt(i + 1));
    }
    return 1;
  };
}
