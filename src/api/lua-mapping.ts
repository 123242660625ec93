/** A path prefix and the script behind it, for the router: loads the script and retires it when it is replaced. */
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Handler, Mapping } from '../http/handler.ts';
import { LoadedScript, type ScriptOptions } from './loaded-script.ts';

export class LuaMapping implements Mapping {
  readonly prefix: string;
  readonly #script: LoadedScript;

  constructor(prefix: string, script: LoadedScript) {
    this.prefix = prefix;
    this.#script = script;
  }

  find(name: string): Handler | undefined {
    return this.#script.find(name);
  }

  /** Resolves when the last exchange has ended and the state is closed. No new one may come any more. */
  async retire(): Promise<void> {
    await this.#script.idle();
    this.#script.close();
  }

  /** Ends its exchanges and the state now. */
  close(): void {
    this.#script.close();
  }
}

/** Loads a script; throws a GatewayError with the place of the error and a traceback. */
export async function loadLuaMapping(options: ScriptOptions): Promise<LuaMapping> {
  try {
    return new LuaMapping(options.prefix, await LoadedScript.load(options));
  } catch (error) {
    throw new GatewayError('LGW_SCRIPT', `Cannot load "${options.script}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}
