/** Where scripts may connect to, as `--allow-connect` writes it: words, names, patterns and addresses, each perhaps with a port. */
import { isIP } from 'node:net';

/** One place, or all names below one. */
export interface ConnectTarget {
  /** A name in lower case as URLs have it, or an address as `canonicalAddress` writes it. */
  readonly host: string;
  readonly kind: 'name' | 'below' | 'address';
  /** Undefined: any. */
  readonly port: number | undefined;
}

export interface ConnectRules {
  /** No rule at all. */
  readonly all: boolean;
  /** Addresses of the public internet. */
  readonly public: boolean;
  readonly targets: readonly ConnectTarget[];
  /** Paths of unix sockets. */
  readonly sockets: readonly string[];
}

/** What scripts in the sandbox may connect to unless the operator says otherwise, and all others. */
const SANDBOX_DEFAULT: readonly string[] = ['public'];
const DEFAULT: readonly string[] = ['all'];

const PORT_MAX = 65_535;
/** How an entry for a unix socket begins, and the place of one. */
export const UNIX_PREFIX = 'unix:';
/** Bytes of the path of a unix socket: the system cuts longer ones off (unix(7)), and would connect to another socket. */
const SOCKET_PATH_BYTES_MAX = 107;
const HOST_BYTES_MAX = 253;
const NAME = /^(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/;

/** Entries that hold when none are given. */
export function connectEntries(given: readonly string[] | undefined, sandboxed: boolean): readonly string[] {
  return given ?? (sandboxed ? SANDBOX_DEFAULT : DEFAULT);
}

/** Undefined when an entry has no valid form, or when `all` or `none` stands beside other entries. */
export function parseConnectRules(entries: readonly string[]): ConnectRules | undefined {
  const isAlone = entries.length === 1;
  const targets: ConnectTarget[] = [];
  const sockets: string[] = [];
  let isPublic = false;
  if (entries.length === 0) return undefined;
  for (const entry of entries) {
    if (entry === 'all' || entry === 'none')
      return isAlone ? { all: entry === 'all', public: false, targets, sockets } : undefined;
    if (entry === 'public') isPublic = true;
    else if (entry.startsWith(UNIX_PREFIX)) {
      const path = socketPath(entry);
      if (path === undefined) return undefined;
      sockets.push(path);
    } else {
      const target = parseTarget(entry);
      if (target === undefined) return undefined;
      targets.push(target);
    }
  }
  return { all: false, public: isPublic, targets, sockets };
}

/** The path that `unix:/path` names; undefined when it is relative, longer than the system takes, or has a NUL byte. */
export function socketPath(entry: string): string | undefined {
  const path = entry.slice(UNIX_PREFIX.length);
  const isPath = path.startsWith('/') && !path.includes('\0');
  return isPath && Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX ? path : undefined;
}

/**
 * The one way in which an address is written here: IPv4 in four decimal numbers, also where it was given as IPv6
 * (`::ffff:0:0/96`); other IPv6 as URLs have it. Undefined for anything that is no address.
 */
export function canonicalAddress(text: string): string | undefined {
  const [address = ''] = text.split('%', 1);
  const family = isIP(address);
  if (family !== 6) return family === 4 ? address : undefined;
  const groups = groupsOf(address);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff)
    return ipv4Of(groups[6] as number, groups[7] as number);
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

/** The eight groups of a valid IPv6 address. */
export function groupsOf(address: string): number[] {
  // URLs write it without dotted numbers
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const read = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const first = read(head);
  const last = read(tail ?? '');
  return [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
}

/** Two groups of an IPv6 address as the IPv4 address that they stand for. */
export function ipv4Of(high: number, low: number): string {
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
}

/** A host as URLs name it, without brackets and the dot at the end of a full name. */
export function canonicalHost(hostname: string): string {
  const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname.replace(/\.$/, '');
  return canonicalAddress(host) ?? host.toLowerCase();
}

function parseTarget(entry: string): ConnectTarget | undefined {
  const [, below = '', host = '', portText] =
    /^(\*\.)?(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(entry) ?? [];
  const bare = isIP(entry) === 6 ? `[${entry}]` : host;
  const port = portText === undefined || bare !== host ? undefined : Number(portText);
  if (port !== undefined && (port === 0 || port > PORT_MAX)) return undefined;
  const known = knownHost(bare);
  if (known === undefined) return undefined;
  const isAddress = isIP(known) !== 0;
  if (isAddress && below !== '') return undefined;
  return { host: known, kind: isAddress ? 'address' : below === '' ? 'name' : 'below', port };
}

/** The host in the form that the URL parser gives it: one way to write each address, and ASCII for names in other scripts. */
function knownHost(host: string): string | undefined {
  if (!/^[^\s/?#@\\%*]+$/.test(host)) return undefined;
  let hostname: string;
  try {
    ({ hostname } = new URL(`http://${host}/`));
  } catch {
    return undefined;
  }
  const known = canonicalHost(hostname);
  const isHost = isIP(known) !== 0 || (known.length <= HOST_BYTES_MAX && NAME.test(known));
  return isHost ? known : undefined;
}
