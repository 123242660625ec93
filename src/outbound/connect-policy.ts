/**
 * Decides what a script may connect to. It checks names before they are resolved, and addresses right before the connection: the
 * addresses of a name may change at any time.
 */
import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import {
  type ConnectRules,
  type ConnectTarget,
  canonicalAddress,
  canonicalHost,
  groupsOf,
  ipv4Of,
} from '../base/connect-rules.ts';
import { GatewayError } from '../base/errors.ts';

/** Addresses that are not public (IANA's special-purpose registry), and those of the metadata services of clouds. */
const SPECIAL_IPV4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['168.63.129.16', 32],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];
/** Parts of global unicast (2000::/3), the only public range, that are not public: protocol assignments with Teredo, documentation. */
const SPECIAL_IPV6: readonly (readonly [string, number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2620:4f:8000::', 48],
  ['3fff::', 20],
];

const special = new BlockList();
for (const [network, bits] of SPECIAL_IPV4) special.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of SPECIAL_IPV6) special.addSubnet(network, bits, 'ipv6');

type LookupCallback = Parameters<LookupFunction>[2];

/** Where a connection goes: a name or an address as `canonicalHost` writes it. */
export interface ConnectPlace {
  readonly host: string;
  readonly port: number;
}

export interface ConnectPolicyOptions {
  /** Resolves names. */
  readonly lookup?: LookupFunction | undefined;
  /** Scripts see the files of a folder only (`--root`): `all` names no unix sockets then, which lie outside. */
  readonly rooted?: boolean;
}

export class ConnectPolicy {
  readonly #rules: ConnectRules;
  readonly #lookup: LookupFunction;
  readonly #rooted: boolean;

  constructor(rules: ConnectRules, { lookup, rooted = false }: ConnectPolicyOptions = {}) {
    this.#rules = rules;
    this.#lookup = lookup ?? (systemLookup as LookupFunction);
    this.#rooted = rooted;
  }

  /** There is no rule at all. */
  get allowsAll(): boolean {
    return this.#rules.all;
  }

  /** Throws a GatewayError when the policy allows no address that the URL could stand for. */
  check(origin: string, pathname: string): void {
    if (!this.mayAllow(placeOf(origin))) throw denied(`${origin}${pathname}`);
  }

  /** False when the policy allows no address that the place could stand for. */
  mayAllow({ host, port }: ConnectPlace): boolean {
    if (this.#rules.all) return true;
    return isIP(host) === 0
      ? this.#allowsName(host, port) || this.#mayAllowSomeAddress(port)
      : this.#allowsAddress(host, port);
  }

  /** A path is allowed as it was written: what it leads to is the operator's affair. */
  allowsSocket(path: string): boolean {
    return (this.#rules.all && !this.#rooted) || this.#rules.sockets.includes(path);
  }

  /** Returns the lookup function for connections to an origin, which leaves out addresses that are not allowed. Undefined: Node's own. */
  lookupFor(origin: string): LookupFunction | undefined {
    return this.#rules.all ? undefined : this.lookupOf(placeOf(origin), () => denied(`${origin}/`));
  }

  /**
   * The lookup function for connections to a place: it gives the addresses that are allowed, or what `refusal` makes. The connection
   * goes to one of these, and nobody resolves the name again.
   */
  lookupOf({ host, port }: ConnectPlace, refusal: () => Error): LookupFunction {
    if (this.#rules.all || (isIP(host) === 0 && this.#allowsName(host, port))) return this.#lookup;
    return (hostname, options, callback) => {
      this.#lookup(
        hostname,
        options as LookupOptions,
        ((error: NodeJS.ErrnoException | null, found: string | LookupAddress[], family?: number) => {
          if (error === null) this.#answer(port, refusal, found, family, callback);
          else callback(error, '');
        }) as LookupCallback,
      );
    };
  }

  #answer(
    port: number,
    refusal: () => Error,
    found: string | LookupAddress[],
    family: number | undefined,
    callback: LookupCallback,
  ): void {
    if (typeof found === 'string') {
      if (this.#allowsAddress(found, port)) callback(null, found, family);
      else callback(refusal(), '');
      return;
    }
    const allowed = found.filter(({ address }) => this.#allowsAddress(address, port));
    if (allowed.length > 0) callback(null, allowed);
    else callback(refusal(), '');
  }

  #allowsName(host: string, port: number): boolean {
    return this.#rules.targets.some((target) => hasPort(target, port) && isNamed(target, host));
  }

  #mayAllowSomeAddress(port: number): boolean {
    return (
      this.#rules.public ||
      this.#rules.targets.some((target) => target.kind === 'address' && hasPort(target, port))
    );
  }

  #allowsAddress(text: string, port: number): boolean {
    const address = canonicalAddress(text);
    if (address === undefined) return false;
    if (this.#rules.public && isPublicAddress(address)) return true;
    return this.#rules.targets.some(
      (target) => target.kind === 'address' && target.host === address && hasPort(target, port),
    );
  }
}

/** True for an address of the public internet; an IPv6 address that contains an IPv4 address is public when that one is. */
export function isPublicAddress(text: string): boolean {
  const address = canonicalAddress(text);
  if (address === undefined || text.includes('%')) return false;
  if (isIP(address) === 4) return !special.check(address, 'ipv4');
  const groups = groupsOf(address);
  const [first = 0, second = 0, third = 0] = groups;
  // NAT64 (RFC 6052), 6to4 (RFC 3056)
  if (first === 0x64 && second === 0xff9b && groups.slice(2, 6).every((group) => group === 0))
    return isPublicAddress(ipv4Of(groups[6] as number, groups[7] as number));
  if (first === 0x2002) return isPublicAddress(ipv4Of(second, third));
  return first >> 13 === 1 && !special.check(address, 'ipv6');
}

function placeOf(origin: string): ConnectPlace {
  const { protocol, hostname, port } = new URL(origin);
  return {
    host: canonicalHost(hostname),
    port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port),
  };
}

function hasPort(target: ConnectTarget, port: number): boolean {
  return target.port === undefined || target.port === port;
}

function isNamed(target: ConnectTarget, host: string): boolean {
  if (target.kind === 'name') return target.host === host;
  return target.kind === 'below' && host.endsWith(`.${target.host}`);
}

/** Makes the refusal. Its message names no addresses of a host, which may be secrets of the internal network. */
function denied(place: string): GatewayError {
  return new GatewayError(
    'LGW_FETCH_DENIED',
    `Cannot fetch "${place}": connections there are not allowed (see --allow-connect)`,
    { luaCode: 'denied' },
  );
}
