/** What one mapping of a script or of a module has in the place of what holds for all of them. */
import { mappingName, type OfPlace } from './mapping-name.ts';
import type { ScriptRights } from './script-rights.ts';

/** Limits that a mapping may have of its own; those of `Limits` by the same names hold where it has none. */
export interface OwnLimits {
  /** Processor time of one request in Lua, ms; Infinity = no limit. */
  readonly cpuLimitMs?: number;
  /** Time a handler may go on without moving a byte, ms; Infinity = no limit. */
  readonly timeLimitMs?: number;
  /** How much of what the others leave free the mapping may take, in percent (1 to 100). It holds for a mapping that is alone, too. */
  readonly mappingSharePercent?: number;
}

/** Those of one mapping; what is left out is as it is for all. A reload applies them. */
export interface ScriptSettings extends OfPlace {
  readonly rights: Partial<ScriptRights>;
  readonly limits: OwnLimits;
}

/** What a mapping has of its own of what its states are made of. */
export interface OwnMachine {
  /** Virtual root of its script and of all its file access; undefined = that of all. */
  readonly root?: string | undefined;
  /** Bytes that each of its states may grow to; undefined = as all. */
  readonly memoryBytesMax?: number | undefined;
}

/**
 * Sizes of memory that the mappings of one gateway may have: the Lua machine is compiled for each, which takes some 10 ms of processor time
 * and 2 MiB.
 */
export const MEMORY_SIZES_MAX = 16;

/** Those of the mapping with this name; undefined = it has none. */
export function scriptSettingsOf(all: readonly ScriptSettings[], name: string): ScriptSettings | undefined {
  return all.find((one) => mappingName(one) === name);
}
