/** What each mapping of a script uses in each worker. */
import type { MappingConfig } from '../config/config.ts';
import { runsLua } from '../mapping/mapping-kinds.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import type { MappingCounterName } from '../metrics/mapping-metrics.ts';
import type { MappingRow } from './mapping-rows.ts';
import type { WorkerThread } from './worker-thread.ts';

/** What one mapping uses in one worker. */
export interface MappingUse extends Readonly<Record<MappingCounterName, number>> {
  /** 1 and up. */
  readonly worker: number;
  /** Its host, if it has one, and its prefix. */
  readonly mapping: string;
}

/** At this moment, worker 1 first; `rows`: of the mappings. */
export function mappingUses(
  workers: readonly Pick<WorkerThread, 'workerId' | 'memory'>[],
  mappings: readonly MappingConfig[],
  rows: readonly MappingRow[],
): MappingUse[] {
  const scripts = new Set(mappings.filter(runsLua).map(mappingName));
  const counted = rows.filter(({ name }) => scripts.has(name));
  return workers.flatMap(({ workerId, memory }) =>
    counted.map(({ name, row }) => ({ worker: workerId, mapping: name, ...memory.mapping(row).snapshot() })),
  );
}
