/** The one form in which names of hosts are compared: lower case, no dot at the end, addresses as `canonicalAddress` writes them. */
import { canonicalAddress } from './connect-rules.ts';

/** No name in the DNS is longer (RFC 1035 §2.3.4), without the dot at its end. */
export const HOST_BYTES_MAX = 253;

/** Of a host without a port, IPv6 in brackets; undefined for what can be the name of none. */
export function comparableHost(host: string): string | undefined {
  if (host.startsWith('[')) {
    const address = host.endsWith(']') ? canonicalAddress(host.slice(1, -1)) : undefined;
    if (address === undefined) return undefined;
    return address.includes(':') ? `[${address}]` : address;
  }
  const name = host.endsWith('.') ? host.slice(0, -1) : host;
  return name === '' || name.length > HOST_BYTES_MAX ? undefined : name.toLowerCase();
}

/** The host of an authority without its port, as `comparableHost` writes it. */
export function hostOfAuthority(authority: string): string | undefined {
  const port = authority.startsWith('[')
    ? authority.indexOf(':', authority.indexOf(']'))
    : authority.indexOf(':');
  return comparableHost(port === -1 ? authority : authority.slice(0, port));
}
