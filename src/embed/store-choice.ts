/** The store that an embedding program names. */
import { GatewayError } from '../base/errors.ts';
import type { SharedSize } from '../base/shared-size.ts';
import type { Config } from '../config/config.ts';
import { storeAddress } from '../config/store-options.ts';

interface StoreChoice {
  readonly store?: string;
  readonly storeAuthorities?: string;
  readonly shared?: readonly SharedSize[];
}

/** Errors: LGW_CONFIG. */
export function readStore({ store, storeAuthorities: ca, shared = [] }: StoreChoice): Pick<Config, 'stores'> {
  if (store === undefined) {
    if (ca !== undefined)
      throw new GatewayError('LGW_CONFIG', 'Option storeAuthorities goes with the option store');
    return {};
  }
  const { read, wants } = storeAddress();
  const address = typeof store === 'string' ? read(store) : undefined;
  // it may hold a password
  if (address === undefined) throw new GatewayError('LGW_CONFIG', `Option store has to be ${wants}`);
  if (ca !== undefined && !address.tls)
    throw new GatewayError('LGW_CONFIG', 'Option storeAuthorities goes with a store that has TLS: rediss://');
  const inMemory = shared.map(({ name }) => name);
  return { stores: [{ address, ca, dictionaries: 'others', inMemory }] };
}

/** Those of before. */
export function pickStores({ stores }: Config): Pick<Config, 'stores'> {
  return stores === undefined ? {} : { stores };
}
