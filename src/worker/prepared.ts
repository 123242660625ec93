/** A reload that waits for its second phase. */
import type { LoadedMapping } from './loaded-mapping.ts';
import type { Generation } from './mapping-loaders.ts';

export interface Prepared {
  readonly generation: Generation;
  readonly mappings: readonly LoadedMapping[];
}
