/** The configuration of a command: what its line says, before what variables say, before what the file says. */
import { mappingName } from '../../mapping/mapping-name.ts';
import type { OptionTexts, Origin, Origins } from '../answers.ts';
import { buildConfig } from '../build-config.ts';
import type { Config } from '../config.ts';
import { OPTIONS } from '../options.ts';
import { Faults, type Position } from '../usage-error.ts';
import { readEnvironment } from './environment.ts';
import type { ConfigFile } from './read-config-file.ts';

/** Options that say one thing in two ways: one that counts more switches the other off. */
const EITHER: readonly (readonly [string, string])[] = [[OPTIONS.debug.name, OPTIONS.logLevel.name]];

export interface Configuration {
  readonly config: Config;
  /** Where the options come from that the command line does not give. */
  readonly origins: Origins;
  /** Where the mappings of the file stand, by their names. */
  readonly places: ReadonlyMap<string, Position>;
  /** The file of `--config`; undefined = none. */
  readonly file: string | undefined;
}

/** Throws a UsageError with everything that is wrong. */
export async function configure(
  commandLine: OptionTexts,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Configuration> {
  const faults = new Faults();
  const variables = readEnvironment(environment, faults);
  const file = commandLine.get(OPTIONS.config.name)?.[0]?.[0];
  const isRooted = [commandLine, variables.texts].some((texts) => texts.has(OPTIONS.root.name));
  const read = file === undefined ? undefined : await readFile(file, isRooted, faults);
  const texts = new Map<string, readonly (readonly string[])[]>();
  const origins = new Map<string, Origin>();
  for (const source of [read, variables, { texts: commandLine, origins: new Map<string, Origin>() }]) {
    if (source === undefined) continue;
    for (const [name, given] of source.texts) {
      for (const pair of EITHER) {
        const other = pair.find((one) => one !== name);
        if (pair.includes(name) && other !== undefined && !source.texts.has(other)) {
          texts.delete(other);
          origins.delete(other);
        }
      }
      if (given.length === 0) texts.delete(name);
      else texts.set(name, given);
      const origin = source.origins.get(name);
      if (origin === undefined) origins.delete(name);
      else origins.set(name, origin);
    }
  }
  const config = buildConfig(texts, origins, read?.parts, faults);
  // another script of the command line may have taken the place
  const serving = new Map(config.mappings.map((mapping) => [mappingName(mapping), mapping.script]));
  const places = new Map<string, Position>();
  for (const { mapping, at } of read?.parts.mappings ?? [])
    if (serving.get(mappingName(mapping)) === mapping.script) places.set(mappingName(mapping), at);
  return { config, origins, places, file };
}

async function readFile(file: string, isRooted: boolean, faults: Faults): Promise<ConfigFile> {
  const { readConfigFile } = await import('./read-config-file.ts');
  return await readConfigFile(file, isRooted, faults);
}
