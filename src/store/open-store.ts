/** Opens a store by its address. */
import { ClusterStore } from './cluster-store.ts';
import { SingleStore } from './single-store.ts';
import type { StoreClient, StoreOptions } from './store-client.ts';

/** Connects, and goes on trying until `close`. */
export function openStore(options: StoreOptions): StoreClient {
  return options.address.kind === 'cluster' ? new ClusterStore(options) : new SingleStore(options);
}
