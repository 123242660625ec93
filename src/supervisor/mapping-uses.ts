/** What each mapping of a script uses in each worker. */
import type { MappingConfig } from '../config/config.ts';
import { runsLua } from '../mapping/mapping-kinds.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import type { MappingCounterName } from '../metrics/mapping-metrics.ts';
import type { WorkerThread } from './worker-thread.ts';

/** What one mapping uses in one worker. */
export interface MappingUse extends Readonly<Record<MappingCounterName, number>> {
  /** 1 and up. */
  readonly worker: number;
  /** Its host, if it has one, and its prefix. */
  readonly mapping: string;
}

/** At this moment, worker 1 first. */
export function mappingUses(
  workers: readonly Pick<WorkerThread, 'workerId' | 'mappingCounters'>[],
  mappings: readonly MappingConfig[],
): MappingUse[] {
  const uses: MappingUse[] = [];
  for (const { workerId, mappingCounters } of workers) {
    for (const [i, mapping] of mappings.entries()) {
      const row = mappingCounters[i];
      if (row !== undefined && runsLua(mapping))
        uses.push({ worker: workerId, mapping: mappingName(mapping), ...row.snapshot() });
    }
  }
  return uses;
}
