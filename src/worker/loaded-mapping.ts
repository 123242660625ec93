/** What a worker has of a mapping that was loaded, whatever stands behind it; and loads that are only tried. */
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { MappingConfig } from '../config/config.ts';
import type { Mapping } from '../http/exchange/handler.ts';
import { kindOf } from '../mapping/mapping-kinds.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import type { ScriptMode } from '../mapping/script-mode.ts';
import { LuaMapping } from '../script/lua-mapping.ts';
import type { TriedMapping } from './messages.ts';

/** A mapping of any kind: what serves until another setup takes its place. */
export interface LoadedMapping extends Mapping {
  /** Exchanges come from now on. */
  serve(): void;
  /** Ends answers that have no end of their own; kinds that have none leave it out. */
  endStreams?(): void;
  /** Resolves when the last exchange has ended. */
  retire(timerGraceMs: number): Promise<void>;
  close(): void;
}

export function modeOf(mapping: LoadedMapping | undefined): ScriptMode | undefined {
  return mapping instanceof LuaMapping ? mapping.mode : undefined;
}

export function closeAll(mappings: readonly LoadedMapping[]): void {
  for (const mapping of mappings) mapping.close();
}

/** The error of a load, with the place of the mapping in the configuration file, where it has one. */
export function withPlace(error: unknown, { at }: MappingConfig): unknown {
  if (at === undefined || !(error instanceof GatewayError)) return error;
  return new GatewayError(error.code, `${at}: ${error.message}`, { cause: error });
}

/** A line for each: what stands behind it. */
export function logLoaded(
  logger: Logger,
  mappings: readonly MappingConfig[],
  loaded: readonly LoadedMapping[],
): void {
  for (const [i, mapping] of mappings.entries()) {
    const { script } = mapping;
    const name = mappingName(mapping);
    const kind = kindOf(mapping);
    if (kind === 'static') logger.info('Folder found', { mapping: name, folder: script });
    else if (kind === 'proxy') logger.info('Requests are passed on', { mapping: name });
    else logger.info('Script loaded', { mapping: name, script, mode: modeOf(loaded[i]) ?? kind });
  }
}

/** What came of each load; what was loaded is closed when all have ended. */
export async function tryLoads(loads: readonly Promise<LoadedMapping>[]): Promise<TriedMapping[]> {
  const results = await Promise.allSettled(loads);
  const tried = results.map((result): TriedMapping => {
    if (result.status === 'rejected')
      return { failure: messageOf(result.reason), mode: undefined, handlers: [] };
    const { value } = result;
    const handlers = value instanceof LuaMapping ? value.registered : [];
    return { failure: undefined, mode: modeOf(value), handlers };
  });
  closeAll(results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])));
  return tried;
}
