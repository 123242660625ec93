/** Loads the scripts of a configuration as a start would, in a thread of their own, for `--run` of subcommands. */
import { createLogger } from '../base/logger.ts';
import type { Config, MappingConfig } from '../config/config.ts';
import { compileLuaModule } from '../lua/wasm-module.ts';
import { kindOf } from '../mapping/mapping-kinds.ts';
import { tryScripts as tryInThread } from '../supervisor/script-trial.ts';

/** What came of the load of one script. */
export type ScriptTrial = Awaited<ReturnType<typeof tryInThread>>[number];

/**
 * By the mapping. What scripts log goes to `writeLine`. Throws GatewayError where no script could be tried: the user cannot be changed, a root
 * is missing, or the thread has ended or is not done within the time of a start.
 */
export async function tryScripts(
  config: Config,
  mappings: readonly MappingConfig[],
  writeLine: (line: string) => void,
): Promise<ReadonlyMap<MappingConfig, ScriptTrial>> {
  const scripts = mappings.filter((mapping) => kindOf(mapping) === 'script');
  if (scripts.length === 0) return new Map();
  const tried = await tryInThread({
    config: { ...config, mappings: scripts },
    logger: createLogger(config.logLevel, 'supervisor', writeLine),
    writeLine,
    compileLua: (memoryBytesMax) => compileLuaModule({ memoryBytesMax }),
  });
  return new Map(
    scripts.flatMap((mapping, i) => (tried[i] === undefined ? [] : [[mapping, tried[i]] as const])),
  );
}

/** `--run`, which only some subcommands know, taken out of their words. */
export function takeRun(words: readonly string[]): {
  readonly runs: boolean;
  readonly rest: readonly string[];
} {
  const rest = words.filter((word) => word !== '--run');
  return { runs: rest.length < words.length, rest };
}
