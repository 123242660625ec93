/** What is known of each store, for the probe of readiness and the metrics. */
import { showStoreAddress } from '../base/store-address.ts';
import type { StoreStates } from '../metrics/store-states.ts';
import type { StoreSettings } from '../settings/store-settings.ts';

export interface StoreView {
  /** Its address without a password. */
  readonly place: string;
  /** Why it does not answer, as the rest of a sentence; undefined: it does, or has not been asked yet. */
  readonly fault: string | undefined;
}

/** `fault`: of the store of all machines, as the main thread knows it. Those of single dictionaries are known to workers alone. */
export function viewStores(
  stores: readonly StoreSettings[],
  states: StoreStates,
  fault: string | undefined,
): StoreView[] {
  return stores.map(({ address, dictionaries }, i) => {
    const place = showStoreAddress(address);
    if (dictionaries === 'others') return { place, fault };
    const away = states.awayFor(i);
    const workers = away === 1 ? '1 worker' : `${away} workers`;
    return { place, fault: away === 0 ? undefined : `store ${place} is away for ${workers}` };
  });
}
