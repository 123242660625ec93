/** The request of a fetch, and the checks that keep a part of it from being read as another request. */
import type { ByteSource } from '../base/byte-stream.ts';
import { GatewayError } from '../base/errors.ts';
import { URL_BYTES_MAX } from './outbound-limits.ts';

/** Which certificates a TLS connection accepts and which it shows, as PEM texts. */
export interface FetchTls {
  /** False: any certificate is accepted. */
  readonly verify: boolean;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** The server name to ask for and to expect in the certificate, instead of the host of the URL. */
  readonly servername: string | undefined;
}

/** Times in ms; Infinity = no limit. */
export interface FetchTimeouts {
  readonly connectMs: number;
  readonly headMs: number;
  readonly idleMs: number;
  /** From the call to the last byte. */
  readonly wholeMs: number;
}

/** A body: bytes, or a source that is read as the upstream takes it. */
export type FetchBody = Uint8Array | ByteSource;

/** The parts of a URL as plain fields: the getters of the platform's `URL` compute their value at each call. */
export interface FetchUrl {
  readonly href: string;
  readonly origin: string;
  readonly pathname: string;
  /** With the query. */
  readonly path: string;
}

export interface FetchRequest {
  readonly url: FetchUrl;
  readonly method: string;
  /** Flat names and values, byte strings that have been checked. */
  readonly fields: readonly string[];
  readonly body: FetchBody | undefined;
  /** Length of a source, where it is known. */
  readonly bodyLength: number | undefined;
  /** Redirects to follow; one more fails. Undefined: a response that redirects is the result. */
  readonly redirectsMax: number | undefined;
  readonly timeouts: FetchTimeouts;
  /** Undefined: the system's certificates. */
  readonly tls: FetchTls | undefined;
}

/** Methods that may be sent twice (RFC 9110 §9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
/** Fields that frame the message or concern the connection, which the gateway sets itself. */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Characters that URL parsers drop or that would end a request line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the expression looks for control characters
const UNSAFE = /[\x00-\x20\x7f]/;

export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}

/** Parses a URL, which may be relative to `base`; throws a GatewayError. */
export function parseUrl(text: string, base?: FetchUrl): FetchUrl {
  const shown = JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
  if (text.length > URL_BYTES_MAX) {
    throw invalid(
      `Cannot fetch ${shown}: the URL has ${text.length} bytes and the limit is ${URL_BYTES_MAX}`,
    );
  }
  if (UNSAFE.test(text)) throw invalid(`Cannot fetch ${shown}: the URL holds a blank or control character`);
  let url: URL;
  try {
    url = new URL(text, base?.href);
  } catch {
    throw invalid(`Cannot fetch ${shown}: it is no URL`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw invalid(`Cannot fetch ${shown}: the scheme is neither "http" nor "https"`);
  if (url.username !== '' || url.password !== '')
    throw invalid(`Cannot fetch "${url.origin}": a URL with a password belongs into "authorization"`);
  const { href, origin, pathname, search } = url;
  return { href, origin, pathname, path: pathname + search };
}

/** Throws a GatewayError for a text that is no method, and for CONNECT. */
export function checkMethod(method: string): void {
  if (!METHOD.test(method)) throw invalid(`Cannot fetch: ${JSON.stringify(method)} is no method`);
  if (method === 'CONNECT') throw invalid('Cannot fetch with CONNECT: a tunnel is no response');
}

/** Throws a GatewayError for a field (lower-case name) that a script may not set. */
export function checkOwnField(lowerName: string): void {
  if (OWN_FIELDS.has(lowerName) || lowerName.startsWith(':'))
    throw invalid(`Cannot fetch: the field "${lowerName}" belongs to the gateway`);
}

function invalid(message: string): GatewayError {
  return new GatewayError('LGW_FETCH_INVALID', message, { luaCode: 'invalid' });
}
