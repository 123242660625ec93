/** Counts the open connections of each client address: of an IPv4 address, or of an IPv6 network of 64 bits. */
import { isIPv4 } from 'node:net';
import { canonicalAddress, groupsOf } from '../../base/connect-rules.ts';
import { MinuteNotice } from '../../base/minute-notice.ts';

/** Groups of an IPv6 address that name the network: a subscriber has at least so many addresses. */
const NETWORK_GROUPS = 4;

export class AddressLimit {
  /** Of one address; those that are open stay. */
  connectionsMax: number;
  /** Of connections that were refused. */
  readonly notice: MinuteNotice = new MinuteNotice();
  /** No more entries than there are connections. */
  readonly #open = new Map<string, number>();

  constructor(connectionsPerAddressMax: number) {
    this.connectionsMax = connectionsPerAddressMax;
  }

  /** Counts a connection; false when its address has as many as it may. */
  admit(key: string): boolean {
    const open = this.#open.get(key) ?? 0;
    if (open >= this.connectionsMax) return false;
    this.#open.set(key, open + 1);
    return true;
  }

  /** A connection that was admitted has closed. */
  release(key: string): void {
    const open = (this.#open.get(key) ?? 0) - 1;
    if (open > 0) this.#open.set(key, open);
    else this.#open.delete(key);
  }
}

/** What addresses are counted by; undefined for what has none (local sockets, clients that have gone already). */
export function addressKey(address: string | undefined): string | undefined {
  if (address === undefined || address === '') return undefined;
  if (isIPv4(address)) return address;
  const known = canonicalAddress(address);
  if (known === undefined || isIPv4(known)) return known ?? address;
  const network = groupsOf(known).slice(0, NETWORK_GROUPS);
  return `${network.map((group) => group.toString(16)).join(':')}::/64`;
}
