/** A reload that waits for its second phase. */
import type { LoadedMapping } from './loaded-mapping.ts';
import type { WorkerSetup } from './messages.ts';
import type { OutwardSet } from './outward.ts';

export interface Prepared {
  readonly setup: WorkerSetup;
  readonly mappings: readonly LoadedMapping[];
  readonly outward: OutwardSet;
}
