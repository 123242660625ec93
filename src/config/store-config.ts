/** Reads where dictionaries live: in memory with a size, or in a store, by options and by the tables `[[shared]]`. */
import { messageOf } from '../base/errors.ts';
import { readWholeFile } from '../base/open-file.ts';
import type { SharedSize } from '../base/shared-size.ts';
import { type StoreAddress, showStoreAddress } from '../base/store-address.ts';
import type { StoreSettings } from '../settings/store-settings.ts';
import type { Answers } from './answers.ts';
import type { FileDictionary, FileParts } from './file-parts.ts';
import { OPTIONS, SHARED_MAX } from './options.ts';
import { readAuthorities } from './read-authorities.ts';
import { faultOfSecret } from './store-options.ts';
import { quote, showPosition } from './usage-error.ts';

export interface Dictionaries {
  readonly shared: readonly SharedSize[];
  /** Absent: all are in memory. */
  readonly stores?: readonly StoreSettings[];
  readonly storeSecret?: string;
  readonly storeFiles?: readonly string[];
}

export function readDictionaries(answers: Answers, { dictionaries = [] }: FileParts): Dictionaries {
  const shared = [...answers.values(OPTIONS.shared), ...dictionaries.flatMap(sizeOf)];
  if (shared.length > SHARED_MAX)
    answers.fault(OPTIONS.shared, `is given ${shared.length} times and the limit is ${SHARED_MAX}`);
  const twice = shared.find(({ name }, i) => shared.findIndex((other) => other.name === name) < i);
  if (twice !== undefined) answers.fault(OPTIONS.shared, `names ${quote(twice.name)} twice`);
  for (const [i, { name, at }] of dictionaries.entries()) {
    const first = dictionaries.findIndex((other) => other.name === name);
    if (first < i)
      answers.faultAt(
        `Dictionary ${quote(name)} has two tables [[shared]]; the first is at ${showPosition((dictionaries[first] as FileDictionary).at)}`,
        at,
      );
  }
  const stores = readStores(answers, shared, dictionaries);
  const storeSecret = readStoreSecret(answers);
  const files = [OPTIONS.storeSecret, OPTIONS.storeCa].flatMap((option) => answers.value(option) ?? []);
  return {
    shared,
    ...(stores.length === 0 ? {} : { stores }),
    ...(storeSecret === undefined ? {} : { storeSecret }),
    ...(files.length === 0 ? {} : { storeFiles: files }),
  };
}

/** The text of the file without blanks around it. */
function readStoreSecret(answers: Answers): string | undefined {
  const file = answers.value(OPTIONS.storeSecret);
  if (file === undefined) return undefined;
  if (answers.value(OPTIONS.store) === undefined) {
    answers.fault(OPTIONS.storeSecret, 'goes with --store, in which the machines share what it seals');
    return undefined;
  }
  try {
    // after `-u` it may be for root alone, in a reload and for a successor
    const secret = readWholeFile(file).trim();
    const fault = faultOfSecret(secret);
    if (fault === undefined) return secret;
    answers.fault(OPTIONS.storeSecret, `names ${quote(file)}, which holds ${fault}`);
  } catch (error) {
    answers.fault(OPTIONS.storeSecret, `names a file that cannot be read: ${messageOf(error)}`);
  }
  return undefined;
}

function sizeOf({ name, bytes, store }: FileDictionary): SharedSize[] {
  return store === undefined && bytes !== undefined ? [{ name, bytes }] : [];
}

function readStores(
  answers: Answers,
  shared: readonly SharedSize[],
  dictionaries: readonly FileDictionary[],
): StoreSettings[] {
  const all = answers.value(OPTIONS.store);
  const single = dictionaries.flatMap(({ name, store }) => (store === undefined ? [] : [{ name, store }]));
  const ca = readStoreAuthorities(answers, [all, ...single.map(({ store }) => store)]);
  const stores = new Map<string, { address: StoreAddress; names: string[] }>();
  for (const { name, store } of single) {
    const key = JSON.stringify(store);
    const known = stores.get(key) ?? { address: store, names: [] };
    known.names.push(name);
    stores.set(key, known);
  }
  const settings: StoreSettings[] = [...stores.values()].map(({ address, names }) => ({
    address,
    ca,
    dictionaries: names,
    inMemory: [],
  }));
  // the last: a dictionary with a store of its own is found before
  if (all !== undefined)
    settings.push({ address: all, ca, dictionaries: 'others', inMemory: shared.map(({ name }) => name) });
  return settings;
}

function readStoreAuthorities(
  answers: Answers,
  stores: readonly (StoreAddress | undefined)[],
): string | undefined {
  const file = answers.value(OPTIONS.storeCa);
  if (file === undefined) return undefined;
  if (!stores.some((store) => store?.tls === true)) {
    const named = stores.flatMap((store) => (store === undefined ? [] : showStoreAddress(store)));
    const found = named.length === 0 ? 'there is no store' : `${named.join(' and ')} is without it`;
    answers.fault(OPTIONS.storeCa, `goes with a store that has TLS (rediss://), and ${found}`);
    return undefined;
  }
  try {
    const text = readAuthorities(file);
    if (text !== undefined) return text;
    answers.fault(OPTIONS.storeCa, `names ${quote(file)}, which holds no certificate in PEM`);
  } catch (error) {
    answers.fault(OPTIONS.storeCa, `names a file that cannot be read: ${messageOf(error)}`);
  }
  return undefined;
}
