/** The stores that one worker is connected to, and the dictionaries in them. What becomes of a store is told in the log. */
import type { Logger } from '../base/logger.ts';
import { MinuteNotice } from '../base/minute-notice.ts';
import { showStoreAddress } from '../base/store-address.ts';
import { COUNT, type Counters } from '../metrics/worker-metrics.ts';
import type { StoreSettings } from '../settings/store-settings.ts';
import { AtomicSteps } from '../store/atomic-steps.ts';
import { NearCache } from '../store/near-cache.ts';
import { openStore } from '../store/open-store.ts';
import type { StoreWatcher } from '../store/store-client.ts';
import { type StoreAccess, type StoredDictionaries, StoredDictionary } from '../store/stored-dictionary.ts';

/** One store, and the dictionaries that were opened in it. */
interface OpenedStore {
  readonly settings: StoreSettings;
  readonly access: StoreAccess;
}

export class WorkerStores implements StoredDictionaries {
  readonly #stores: readonly OpenedStore[];
  readonly #opened = new Map<string, StoredDictionary>();

  /** Begins to connect to all of them. */
  constructor(settings: readonly StoreSettings[], logger: Logger, counters: Counters) {
    this.#stores = settings.map((one) => open(one, logger, counters));
  }

  find(name: string): StoredDictionary | undefined {
    const opened = this.#opened.get(name);
    if (opened !== undefined) return opened;
    const store = this.#stores.find(({ settings }) => holds(settings, name));
    if (store === undefined) return undefined;
    const dictionary = new StoredDictionary(name, store.access);
    this.#opened.set(name, dictionary);
    return dictionary;
  }

  close(): void {
    for (const { access } of this.#stores) access.client.close();
  }
}

function holds({ dictionaries, inMemory }: StoreSettings, name: string): boolean {
  return dictionaries === 'others' ? !inMemory.includes(name) : dictionaries.includes(name);
}

function open(settings: StoreSettings, logger: Logger, counters: Counters): OpenedStore {
  const { address, ca } = settings;
  const near = new NearCache();
  const watcher = watch(showStoreAddress(address), near, logger, counters);
  const client = openStore({ address, tls: address.tls ? { ca } : undefined, watcher });
  return { settings, access: { client, near, steps: new AtomicSteps(client), counters } };
}

function watch(place: string, near: NearCache, logger: Logger, counters: Counters): StoreWatcher {
  let isAway = false;
  let toldReason = '';
  let notice = new MinuteNotice();
  return {
    available: (server) => {
      if (isAway) {
        counters.add(COUNT.storesAway, -1);
        logger.info(`Store ${place} answers again`, { server });
      } else logger.debug(`Store ${place} answers`, { server });
      isAway = false;
      toldReason = '';
      notice = new MinuteNotice();
    },
    away: (reason, isConfiguration) => {
      if (!isAway) counters.add(COUNT.storesAway, 1);
      isAway = true;
      // the same reason comes with each attempt
      if (reason !== toldReason) notice = new MinuteNotice();
      toldReason = reason;
      if (notice.note() === undefined) return;
      const message = `Store ${place} is away: ${reason}`;
      if (isConfiguration)
        logger.error(`${message}. Calls get nil, message, "refused" until this is set right`);
      else logger.warn(`${message}. Calls get nil, message, "refused" meanwhile`);
    },
    invalidated: (keys) => near.invalidate(keys),
    untracked: () => near.switchOff(),
  };
}
