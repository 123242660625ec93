/** The store that an embedding program names. */
import { GatewayError } from '../base/errors.ts';
import type { SharedSize } from '../base/shared-size.ts';
import type { Config } from '../config/config.ts';
import { faultOfSecret, storeAddress } from '../config/store-options.ts';

interface StoreChoice {
  readonly store?: string;
  readonly storeAuthorities?: string;
  readonly storeSecret?: string;
  readonly shared?: readonly SharedSize[];
}

/** Errors: LGW_CONFIG. */
export function readStore({
  store,
  storeAuthorities: ca,
  storeSecret,
  shared = [],
}: StoreChoice): Pick<Config, 'stores' | 'storeSecret'> {
  if (store === undefined) {
    if (ca !== undefined)
      throw new GatewayError('LGW_CONFIG', 'Option storeAuthorities goes with the option store');
    if (storeSecret !== undefined)
      throw new GatewayError('LGW_CONFIG', 'Option storeSecret goes with the option store');
    return {};
  }
  const { read, wants } = storeAddress();
  const address = typeof store === 'string' ? read(store) : undefined;
  // it may hold a password
  if (address === undefined) throw new GatewayError('LGW_CONFIG', `Option store has to be ${wants}`);
  if (ca !== undefined && !address.tls)
    throw new GatewayError('LGW_CONFIG', 'Option storeAuthorities goes with a store that has TLS: rediss://');
  const fault = storeSecret === undefined ? undefined : faultOfStoreSecret(storeSecret);
  if (fault !== undefined) throw new GatewayError('LGW_CONFIG', `Option storeSecret ${fault}`);
  const inMemory = shared.map(({ name }) => name);
  return {
    stores: [{ address, ca, dictionaries: 'others', inMemory }],
    ...(storeSecret === undefined ? {} : { storeSecret: bytesOf(storeSecret) }),
  };
}

/** As the file of `--store-secret` is read, so that both are the same secret. */
function bytesOf(secret: string): string {
  return Buffer.from(secret.trim()).toString('latin1');
}

function faultOfStoreSecret(secret: unknown): string | undefined {
  if (typeof secret !== 'string') return 'has to be a text';
  const fault = faultOfSecret(bytesOf(secret));
  return fault && `holds ${fault}`;
}

/** Those of before. */
export function pickStores({ stores, storeSecret }: Config): Pick<Config, 'stores' | 'storeSecret'> {
  return {
    ...(stores === undefined ? {} : { stores }),
    ...(storeSecret === undefined ? {} : { storeSecret }),
  };
}
