/** The stores that one worker is connected to, and the dictionaries in them. What becomes of a store is told in the log. */
import type { Logger } from '../base/logger.ts';
import { showStoreAddress } from '../base/store-address.ts';
import type { CommonEntries } from '../cache/common-entries.ts';
import type { StoreStates } from '../metrics/store-states.ts';
import { COUNT, type Counters } from '../metrics/worker-metrics.ts';
import type { StoreSettings } from '../settings/store-settings.ts';
import { AtomicSteps } from '../store/atomic-steps.ts';
import { NearCache } from '../store/near-cache.ts';
import { openStore } from '../store/open-store.ts';
import type { StoreWatcher } from '../store/store-client.ts';
import { StoreLog } from '../store/store-log.ts';
import { type StoreAccess, type StoredDictionaries, StoredDictionary } from '../store/stored-dictionary.ts';
import { StoreEntries } from './store-entries.ts';

/** One store, and the dictionaries that were opened in it. */
interface OpenedStore {
  readonly settings: StoreSettings;
  readonly access: StoreAccess;
  /** For what the cache shares with other machines. */
  readonly entries: StoreEntries;
}

export class WorkerStores implements StoredDictionaries {
  readonly #stores: readonly OpenedStore[];
  readonly #opened = new Map<string, StoredDictionary>();

  /** Begins to connect to all of them. `states`: tells the main thread, by the number of this worker. */
  constructor(
    settings: readonly StoreSettings[],
    logger: Logger,
    counters: Counters,
    states: StoreStates,
    workerId: number,
  ) {
    this.#stores = settings.map((one, i) => {
      const changed = (isAway: boolean): void => {
        counters.add(COUNT.storesAway, isAway ? 1 : -1);
        states.set(workerId, i, isAway);
      };
      // a worker of this number that has ended may have left it away
      states.set(workerId, i, false);
      return open(one, logger, counters, changed);
    });
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

  /** In the store of all dictionaries, which is that of all machines; undefined: there is none. */
  get entries(): CommonEntries | undefined {
    return this.#stores.find(({ settings }) => settings.dictionaries === 'others')?.entries;
  }

  close(): void {
    for (const { access } of this.#stores) access.client.close();
  }
}

function holds({ dictionaries, inMemory }: StoreSettings, name: string): boolean {
  return dictionaries === 'others' ? !inMemory.includes(name) : dictionaries.includes(name);
}

function open(
  settings: StoreSettings,
  logger: Logger,
  counters: Counters,
  changed: (isAway: boolean) => void,
): OpenedStore {
  const { address, ca } = settings;
  const near = new NearCache();
  const log = new StoreLog(showStoreAddress(address), 'Calls get nil, message, "refused"', logger, changed);
  const watcher: StoreWatcher = {
    connected: () => counters.add(COUNT.storeConnectionsTotal, 1),
    available: (server) => log.available(server),
    away: (reason, isConfiguration) => log.away(reason, isConfiguration),
    invalidated: (keys) => near.invalidate(keys),
    untracked: () => near.switchOff(),
  };
  const client = openStore({ address, tls: address.tls ? { ca } : undefined, watcher });
  const entries = new StoreEntries(client, () => log.isThere);
  return { settings, access: { client, near, steps: new AtomicSteps(client), counters }, entries };
}
