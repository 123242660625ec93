/** Reads the text of one option value: what is accepted, how the refusal names it, how a default is shown in the help. */
import { isIP } from 'node:net';
import { type AdminAddress, authorityOf, isLoopback, SOCKET_PATH_BYTES_MAX } from '../base/admin-address.ts';
import { parseConnectRules } from '../base/connect-rules.ts';
import {
  SHARED_BYTES_DEFAULT,
  SHARED_BYTES_MAX,
  SHARED_BYTES_MIN,
  SHARED_NAME,
  type SharedSize,
} from '../base/shared-size.ts';
import { INDEX_NAMES_MAX, isCacheControl, isIndexName } from '../mapping/static-settings.ts';
import { COMPRESSION_TYPES_MAX, isTypePattern } from '../settings/compression.ts';
import type { ListenAddress } from './config.ts';

export interface ValueParser<T> {
  /** Completes the sentence `Option --x wants …`. */
  readonly wants: string;
  /** The value, or undefined when `text` is not one. */
  read(text: string): T | undefined;
  /** The text that `read` would turn into `value`. */
  show(value: T): string;
  /** All values there are, where that is a short list. */
  readonly choices?: readonly string[];
  /** A wrong value is not shown in messages: it may hold a password. */
  readonly isSecret?: true;
  /** How a configuration file writes it; default: as a text. */
  readonly inFile?: FileForm;
}

/** The types of TOML that stand for a value. What is no text is read as the text that shows it; a list, with commas between its entries. */
export interface FileForm {
  readonly types: readonly ('integer' | 'number' | 'string' | 'list')[];
  /** Bounds of a number, as it is written. */
  readonly min?: number;
  readonly max?: number;
  /** Pattern of a text, for editors. */
  readonly pattern?: string;
  /** The text that an empty list stands for; undefined = a list has at least one entry. */
  readonly empty?: string;
}

const LIST: FileForm = { types: ['list', 'string'] };
const SIZE_PATTERN = '^\\d{1,15}[KMGTkmgt]?$';

const PORT_MAX = 65_535;
const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4,
};
const MS_PER_SECOND = 1000;

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number, noun = 'a whole number'): ValueParser<number> {
  return {
    wants: `${noun} from ${min} to ${max}`,
    read: (text) => {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      return value >= min && value <= max ? value : undefined;
    },
    show: String,
    inFile: { types: ['integer'], min, max },
  };
}

/** A TCP port. */
export function port(): ValueParser<number> {
  return integer(0, PORT_MAX, 'a port');
}

/** A time in seconds, up to three decimals, between two bounds in milliseconds. The value is in milliseconds. */
export function seconds(minMs: number, maxMs: number): ValueParser<number> {
  return {
    wants: `a number of seconds from ${minMs / MS_PER_SECOND} to ${maxMs / MS_PER_SECOND}`,
    read: (text) => {
      if (!/^\d{1,9}(\.\d{1,3})?$/.test(text)) return undefined;
      const ms = Math.round(Number(text) * MS_PER_SECOND);
      return ms >= minMs && ms <= maxMs ? ms : undefined;
    },
    show: (ms) => String(ms / MS_PER_SECOND),
    inFile: { types: ['number'], min: minMs / MS_PER_SECOND, max: maxMs / MS_PER_SECOND },
  };
}

/** A time in seconds where 0 stands for no limit and becomes Infinity. The value is in milliseconds; `minMs`: of what is a limit. */
export function secondsOrUnlimited(maxMs: number, minMs = 0): ValueParser<number> {
  const limited = seconds(0, maxMs);
  const range = `${minMs === 0 ? 'up' : `from ${minMs / MS_PER_SECOND}`} to ${maxMs / MS_PER_SECOND}`;
  return {
    wants: `a number of seconds ${range}, or 0 for no limit`,
    read: (text) => {
      const ms = limited.read(text);
      if (ms === 0) return Number.POSITIVE_INFINITY;
      return ms === undefined || ms < minMs ? undefined : ms;
    },
    show: (ms) => (ms === Number.POSITIVE_INFINITY ? '0' : limited.show(ms)),
    inFile: { types: ['number'], min: 0, max: maxMs / MS_PER_SECOND },
  };
}

/** A number of bytes such as `4096`, `64K`, `16M` or `1G` (powers of 1024). */
export function size(min: number, max: number): ValueParser<number> {
  return {
    wants: `a size from ${showSize(min)} to ${showSize(max)} (a number of bytes, or one with K, M or G)`,
    read: (text) => {
      const bytes = readSize(text);
      return bytes !== undefined && bytes >= min && bytes <= max ? bytes : undefined;
    },
    show: showSize,
    inFile: { types: ['integer', 'string'], min, max, pattern: SIZE_PATTERN },
  };
}

/** A size where 0 stands for no limit and becomes Infinity. */
export function sizeOrUnlimited(): ValueParser<number> {
  return {
    wants: 'a size such as 4096, 64K, 16M or 1G, or 0 for no limit',
    read: (text) => {
      const bytes = readSize(text);
      return bytes === 0 ? Number.POSITIVE_INFINITY : bytes;
    },
    show: (bytes) => (bytes === Number.POSITIVE_INFINITY ? '0' : showSize(bytes)),
    inFile: { types: ['integer', 'string'], min: 0, pattern: SIZE_PATTERN },
  };
}

/** An IPv4 or IPv6 address; no host names, so that nothing depends on a resolver at start. */
export function ipAddress(): ValueParser<string> {
  return {
    wants: 'an IPv4 or IPv6 address, such as 127.0.0.1 or ::1',
    read: (text) => (isIP(text) === 0 ? undefined : text),
    show: String,
  };
}

/** `PORT`, `IPV4:PORT` or `[IPV6]:PORT`. */
export function listenAddress(): ValueParser<ListenAddress> {
  return {
    wants: 'ADDRESS:PORT or PORT, such as 127.0.0.1:8080, [::1]:8080 or 8080',
    read: readListenAddress,
    show: showListenAddress,
    inFile: { types: ['integer', 'string'], min: 0, max: PORT_MAX },
  };
}

/** `unix:/PATH`, or an address of this machine alone as `listenAddress` reads it; a port without an address is one of 127.0.0.1. */
export function adminAddress(): ValueParser<AdminAddress> {
  return {
    wants: `PORT, ADDRESS:PORT with an address of this machine alone (127.0.0.1:9443, [::1]:9443), or unix:/PATH of at most ${SOCKET_PATH_BYTES_MAX} bytes`,
    read: (text) => {
      if (text.startsWith('unix:')) {
        const path = text.slice('unix:'.length);
        const isPath = path.startsWith('/') && !path.includes('\0') && !path.endsWith('/');
        return isPath && Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX
          ? { kind: 'unix', path }
          : undefined;
      }
      const tcp = readListenAddress(text);
      if (tcp === undefined) return undefined;
      const { address = '127.0.0.1', port: portNumber } = tcp;
      return isLoopback(address) ? { kind: 'tcp', address, port: portNumber } : undefined;
    },
    show: (address) =>
      address.kind === 'unix' ? `unix:${address.path}` : authorityOf(address.address, address.port),
    inFile: { types: ['integer', 'string'], min: 0, max: PORT_MAX },
  };
}

/** Any name of a file or user. One that starts with `-` is far more often a forgotten value. */
export function name(noun: string): ValueParser<string> {
  return {
    wants: noun,
    read: (text) => (text === '' || text.startsWith('-') || text.includes('\0') ? undefined : text),
    show: String,
  };
}

/** Names of programs or variables, separated by commas. */
export function nameList(noun: string): ValueParser<readonly string[]> {
  return {
    wants: `${noun}, separated by commas`,
    read: (text) => {
      const names = text.split(',');
      return names.every((part) => /^[^\s=,;\0-][^\s=,;\0]*$/.test(part)) ? names : undefined;
    },
    show: (names) => names.join(','),
    inFile: LIST,
  };
}

/** Names of files in a folder, separated by commas; `none` for no name. */
export function indexNames(): ValueParser<readonly string[]> {
  return {
    wants: `none, or up to ${INDEX_NAMES_MAX} names of files, without a dot before them, separated by commas`,
    read: (text) => {
      if (text === 'none') return [];
      const names = text.split(',');
      return names.length <= INDEX_NAMES_MAX && names.every(isIndexName) ? names : undefined;
    },
    show: (names) => (names.length === 0 ? 'none' : names.join(',')),
    inFile: { ...LIST, empty: 'none' },
  };
}

/** The value of a Cache-Control field. */
export function cacheControl(): ValueParser<string> {
  return {
    wants: 'the value of a field in plain ASCII, such as max-age=3600',
    read: (text) => (isCacheControl(text) ? text : undefined),
    show: String,
  };
}

/** Media types, separated by commas: `text/html`, `text/*`, or `+json` for all types with that suffix. */
export function typeList(): ValueParser<readonly string[]> {
  return {
    wants: `media types such as text/html, text/* or +json, separated by commas, ${COMPRESSION_TYPES_MAX} at most`,
    read: (text) => {
      const types = text.split(',').map((type) => type.trim());
      return types.length <= COMPRESSION_TYPES_MAX && types.every(isTypePattern) ? types : undefined;
    },
    show: (types) => types.join(', '),
    inFile: LIST,
  };
}

/** Words, names and addresses, each perhaps with a port, separated by commas. */
export function connectList(): ValueParser<readonly string[]> {
  return {
    wants:
      'all, none, or names, *.NAME, addresses, unix:/path and public separated by commas, such as public,db.example:5432,[::1]:8080',
    read: (text) => {
      const entries = text.split(',');
      return parseConnectRules(entries) === undefined ? undefined : entries;
    },
    show: (entries) => entries.join(','),
    inFile: { ...LIST, empty: 'none' },
  };
}

/** `NAME` or `NAME=SIZE`: a dictionary and the bytes it may take. */
export function sharedSize(): ValueParser<SharedSize> {
  const bytes = size(SHARED_BYTES_MIN, SHARED_BYTES_MAX);
  return {
    wants: `NAME or NAME=SIZE, a name of letters, digits, "_", "." and "-" and ${bytes.wants}`,
    read: (text) => {
      const [, name = '', sizeText] = /^([^=]*)(?:=(.*))?$/s.exec(text) ?? [];
      const value = sizeText === undefined ? SHARED_BYTES_DEFAULT : bytes.read(sizeText);
      return SHARED_NAME.test(name) && value !== undefined ? { name, bytes: value } : undefined;
    },
    show: ({ name: dictionary, bytes: value }) => `${dictionary}=${bytes.show(value)}`,
  };
}

/** One word of a list. */
export function choice<T extends string>(words: readonly T[]): ValueParser<T> {
  return {
    wants: `one of ${words.join(', ')}`,
    read: (text) => words.find((word) => word === text),
    show: String,
    choices: words,
  };
}

function readSize(text: string): number | undefined {
  const match = /^(\d{1,15})([KMGT]?)$/i.exec(text);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * (SIZE_UNITS[(match[2] ?? '').toUpperCase()] ?? 1);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

function showSize(bytes: number): string {
  let text = String(bytes);
  for (const [unit, factor] of Object.entries(SIZE_UNITS))
    if (bytes >= factor && bytes % factor === 0) text = `${bytes / factor}${unit}`;
  return text;
}

function readListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([^\]]+)\]:|([^:[\]]+):)?(\d+)$/.exec(text);
  const portNumber = match === null ? undefined : port().read(match[3] ?? '');
  if (match === null || portNumber === undefined) return undefined;
  const [, ipv6, ipv4] = match;
  if (ipv6 !== undefined && isIP(ipv6) !== 6) return undefined;
  if (ipv4 !== undefined && isIP(ipv4) !== 4) return undefined;
  return { address: ipv6 ?? ipv4, port: portNumber };
}

function showListenAddress({ address, port: portNumber }: ListenAddress): string {
  if (address === undefined) return String(portNumber);
  return isIP(address) === 6 ? `[${address}]:${portNumber}` : `${address}:${portNumber}`;
}
