/** The options that say where dictionaries live that are not in memory: a part of the table of options. */
import { readStoreAddress, STORE_FORMS, type StoreAddress, showStoreAddress } from '../base/store-address.ts';
import type { ValueOption } from './option.ts';
import { name, type ValueParser } from './value-parsers.ts';

export interface StoreOptions {
  readonly store: ValueOption<StoreAddress>;
  readonly storeCa: ValueOption<string>;
  readonly storeSecret: ValueOption<string>;
}

/** Bytes of a secret that seals: fewer might be guessed, and more are no secret but another file. */
const SECRET_BYTES_MIN = 32;
const SECRET_BYTES_MAX = 4096;

/** What is wrong with a secret, as the rest of a sentence without its content; undefined: nothing. */
export function faultOfSecret({ length }: string): string | undefined {
  if (length >= SECRET_BYTES_MIN && length <= SECRET_BYTES_MAX) return undefined;
  return `${length} bytes without the blanks around them: ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX} are expected, such as those of openssl rand -hex 32`;
}

/** The address of a Redis or Valkey. It may hold a password, which no message shows. */
export function storeAddress(): ValueParser<StoreAddress> {
  return {
    wants: `the address of a Redis or Valkey: ${STORE_FORMS}`,
    read: readStoreAddress,
    show: showStoreAddress,
    isSecret: true,
  };
}

export const STORE_OPTIONS: StoreOptions = {
  store: {
    kind: 'value',
    name: 'store',
    argument: 'URL',
    value: storeAddress(),
    defaultText: 'none: in memory',
    group: 'Scripts',
    help: 'Redis or Valkey in which the dictionaries of httpd.shared live that have no size by --shared: one state for many machines. LGATEWAY_STORE hides its password from other users',
  },
  storeCa: {
    kind: 'value',
    name: 'store-ca',
    argument: 'FILE',
    value: name('a file name'),
    isFile: true,
    defaultText: 'those of Node.js',
    group: 'Scripts',
    help: 'authorities that the certificate of the store may come from, PEM',
  },
  storeSecret: {
    kind: 'value',
    name: 'store-secret',
    argument: 'FILE',
    value: name('a file name'),
    isFile: true,
    defaultText: 'none: each machine has keys of tickets and certificates of --acme of its own',
    group: 'Scripts',
    help: 'secret of 32 bytes or more that all machines have, which seals keys of TLS session tickets and what --acme obtains in the store: any machine resumes any session, and serves with the same certificates',
  },
};
