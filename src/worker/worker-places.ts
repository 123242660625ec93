/** Where mappings and listeners of a worker stand, in the form in which its parts take it. */
import type { MappingConfig } from '../config/config.ts';
import { TlsPolicies } from '../tls/tls-policies.ts';
import type { TlsSetup } from '../tls/tls-setup.ts';

export function placeOf({ host, prefix }: MappingConfig): { host: string | undefined; prefix: string } {
  return { host, prefix: toBytes(prefix) };
}

/** The byte string of a text in UTF-8: paths of requests and names of files are bytes. */
export function toBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** Of one listener. */
export function policiesOf(tls: TlsSetup | undefined, listener: number): TlsPolicies | undefined {
  return tls === undefined ? undefined : new TlsPolicies(tls, listener);
}
