/** Counts the open connections of each client address: of an IPv4 address, or of an IPv6 network of 64 bits. */
import { isIPv4 } from 'node:net';
import { MinuteNotice } from '../../base/minute-notice.ts';

const MAPPED_PREFIX = '::ffff:';
/** Groups of 16 bits of an IPv6 address, and those that name the network: a subscriber has at least so many addresses. */
const GROUPS = 8;
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
  const [plain = ''] = address.toLowerCase().split('%');
  const mapped = plain.startsWith(MAPPED_PREFIX) ? plain.slice(MAPPED_PREFIX.length) : '';
  if (isIPv4(mapped)) return mapped;
  const [head = '', tail] = plain.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const last = tail === '' ? [] : tail.split(':');
    while (groups.length + last.length < GROUPS) groups.push('0');
    groups.push(...last);
  }
  return `${groups
    .slice(0, NETWORK_GROUPS)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
