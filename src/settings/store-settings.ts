/** Which dictionaries of `httpd.shared` live in a store, and where that is. */
import type { StoreAddress } from '../base/store-address.ts';

export interface StoreSettings {
  readonly address: StoreAddress;
  /** PEM of authorities that the server's certificate may come from; undefined = those that Node knows. */
  readonly ca: string | undefined;
  /** `others`: all dictionaries that nothing else is said of. */
  readonly dictionaries: readonly string[] | 'others';
  /** With `others`: those that stay in memory. */
  readonly inMemory: readonly string[];
}
