/**
 * The head that a proxy puts before a connection to tell whose it is: the PROXY protocol, versions 1 and 2, as HAProxy's
 * doc/proxy-protocol.txt has it. Strict: what is not exactly such a head is none.
 */
import { isIPv4, isIPv6 } from 'node:net';

/** The ends of a connection as its first proxy saw them. */
export interface ProxiedEnds {
  readonly address: string;
  readonly port: number;
  readonly localAddress: string;
  readonly localPort: number;
}

export type ProxyHead =
  /** So far it is the beginning of a head. */
  | { readonly kind: 'more' }
  | { readonly kind: 'wrong'; readonly reason: string }
  /** A head of `size` bytes. `ends` undefined: the proxy speaks for itself (LOCAL) or does not know: the connection's own ends hold. */
  | { readonly kind: 'head'; readonly size: number; readonly ends: ProxiedEnds | undefined };

/** The longest line of version 1, with its end (section 2.1). */
const V1_BYTES_MAX = 107;
const V1_BEGIN: Buffer = Buffer.from('PROXY ', 'latin1');
/** Section 2.2. */
const V2_SIGNATURE: Buffer = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_FIXED_BYTES = 16;
/** Addresses and what is beside them (TLVs): those of a unix socket have 216, a certificate's name and an id of a cloud some hundred more. */
export const V2_REST_BYTES_MAX = 4096;
const V2_VERSION = 2;
const COMMAND_LOCAL = 0;
const COMMAND_PROXY = 1;
const FAMILY_UNSPECIFIED = 0;
const FAMILY_IPV4 = 1;
const FAMILY_IPV6 = 2;
const FAMILY_UNIX = 3;
const TRANSPORT_STREAM = 1;
const V4_BYTES = 4;
const V6_BYTES = 16;
const PORT_BYTES = 2;
const UNIX_BYTES = 108;
/** What a family has in front of the TLVs. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = {
  [FAMILY_IPV4]: 2 * (V4_BYTES + PORT_BYTES),
  [FAMILY_IPV6]: 2 * (V6_BYTES + PORT_BYTES),
  [FAMILY_UNIX]: 2 * UNIX_BYTES,
};

const MORE: ProxyHead = { kind: 'more' };
const CR = 13;
const LF = 10;

/** Looks at all that has come; what follows the head may be in it. */
export function parseProxyHead(received: Buffer): ProxyHead {
  if (beginsLike(received, V2_SIGNATURE))
    return received.length < V2_FIXED_BYTES ? checkFixed(received) : parseV2(received);
  if (beginsLike(received, V1_BEGIN)) return parseV1(received);
  return wrong('it does not begin with a PROXY head');
}

/** One is the beginning of the other. */
function beginsLike(received: Buffer, begin: Buffer): boolean {
  const size = Math.min(received.length, begin.length);
  return received.compare(begin, 0, size, 0, size) === 0;
}

function parseV1(received: Buffer): ProxyHead {
  const end = received.subarray(0, V1_BYTES_MAX).indexOf(LF);
  if (end < 0)
    return received.length < V1_BYTES_MAX ? MORE : wrong(`its line is longer than ${V1_BYTES_MAX} bytes`);
  if (received[end - 1] !== CR) return wrong('its line does not end with CR LF');
  const size = end + 1;
  const words = received.toString('latin1', 0, size - 2).split(' ');
  const [, family = ''] = words;
  // whatever follows is to be passed over
  if (family === 'UNKNOWN') return { kind: 'head', size, ends: undefined };
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isPlainIPv6 : undefined;
  if (isAddress === undefined) return wrong('its family is not TCP4, TCP6 or UNKNOWN');
  const [address = '', localAddress = '', ...ports] = words.slice(2);
  if (!isAddress(address) || !isAddress(localAddress)) return wrong('an address in it is none of its family');
  const [port, localPort, ...more] = ports.map(readPort);
  if (port === undefined || localPort === undefined || more.length > 0)
    return wrong('it does not have two ports');
  return { kind: 'head', size, ends: { address, port, localAddress, localPort } };
}

function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

/** Without leading zeros. */
function readPort(text: string): number | undefined {
  const port = /^(?:0|[1-9]\d{0,4})$/.test(text) ? Number(text) : undefined;
  return port === undefined || port > 0xffff ? undefined : port;
}

/** What is wrong already, before the length is there. */
function checkFixed(received: Buffer): ProxyHead {
  const version = received[V2_SIGNATURE.length];
  if (version === undefined) return MORE;
  if (version >> 4 !== V2_VERSION) return wrong(`its version is ${version >> 4} and not ${V2_VERSION}`);
  const command = version & 0xf;
  if (command !== COMMAND_LOCAL && command !== COMMAND_PROXY) return wrong(`its command is ${command}`);
  return MORE;
}

function parseV2(received: Buffer): ProxyHead {
  const fixed = checkFixed(received);
  if (fixed.kind === 'wrong') return fixed;
  const rest = received.readUInt16BE(V2_FIXED_BYTES - 2);
  if (rest > V2_REST_BYTES_MAX)
    return wrong(`it has ${rest} bytes of addresses and TLVs, and the limit is ${V2_REST_BYTES_MAX}`);
  const command = (received[V2_SIGNATURE.length] as number) & 0xf;
  const kind = received[V2_SIGNATURE.length + 1] as number;
  const [family, transport] = [kind >> 4, kind & 0xf];
  if (command === COMMAND_PROXY && family !== FAMILY_UNSPECIFIED) {
    const least = ADDRESS_BYTES[family];
    if (least === undefined || transport !== TRANSPORT_STREAM)
      return wrong('its family and transport are not those of a stream');
    if (rest < least) return wrong(`it has ${rest} bytes of addresses and needs ${least}`);
  }
  const size = V2_FIXED_BYTES + rest;
  if (received.length < size) return MORE;
  const isProxied = command === COMMAND_PROXY && (family === FAMILY_IPV4 || family === FAMILY_IPV6);
  return { kind: 'head', size, ends: isProxied ? readEnds(received, family) : undefined };
}

function readEnds(received: Buffer, family: number): ProxiedEnds {
  const bytes = family === FAMILY_IPV4 ? V4_BYTES : V6_BYTES;
  const read = family === FAMILY_IPV4 ? readIPv4 : readIPv6;
  const at = V2_FIXED_BYTES;
  const ports = at + 2 * bytes;
  return {
    address: read(received.subarray(at, at + bytes)),
    port: received.readUInt16BE(ports),
    localAddress: read(received.subarray(at + bytes, ports)),
    localPort: received.readUInt16BE(ports + PORT_BYTES),
  };
}

function readIPv4(bytes: Buffer): string {
  return bytes.join('.');
}

/** As RFC 5952 §4 wants it: no leading zeros, the longest run of two zero groups and more as `::`. */
function readIPv6(bytes: Buffer): string {
  const groups = Array.from({ length: V6_BYTES / 2 }, (_, i) => bytes.readUInt16BE(2 * i));
  let [longest, longestAt] = [1, -1];
  for (let at = 0; at < groups.length; at++) {
    let size = 0;
    while (groups[at + size] === 0) size += 1;
    if (size > longest) [longest, longestAt] = [size, at];
  }
  const show = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (longestAt < 0) return show(groups);
  return `${show(groups.slice(0, longestAt))}::${show(groups.slice(longestAt + longest))}`;
}

function wrong(reason: string): ProxyHead {
  return { kind: 'wrong', reason };
}
