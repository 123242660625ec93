/** Looks at a request for a WebSocket and says what answers it (RFC 6455 §4.2, RFC 8441 §5, RFC 7692 §7). */
import { createRequire } from 'node:module';
import type { Parts, PerMessageDeflate } from 'ws';
import { isSameAuthority } from '../base/authority.ts';
import { GatewayError } from '../base/errors.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import { type Fields, fieldValue, hasListMember } from '../http/semantics/fields.ts';
import { webSocketAccept } from '../http/semantics/websocket-key.ts';
import {
  DEFLATE_BYTES_MIN,
  DEFLATE_LEVEL,
  DEFLATE_MEMORY_LEVEL,
  POOL_JOBS_MAX,
  PROTOCOLS_MAX,
} from './websocket-limits.ts';

/** What whoever takes a WebSocket says of it. */
export interface HandshakeOptions {
  /** Subprotocols, the best first. */
  readonly protocols: readonly string[];
  /** Where pages may come from that open it; `same`: from the host that it is opened at; `any`: from anywhere. */
  readonly origins: readonly string[] | 'same' | 'any';
  readonly deflate: boolean;
  /** Bytes of a message, inflated. */
  readonly messageBytesMax: number;
}

/** What was agreed upon. */
export interface Handshake {
  readonly protocol: string | undefined;
  readonly deflate: PerMessageDeflate | undefined;
  /** For the head of the answer. */
  readonly fields: Fields;
}

const VERSION = '13';
/** 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{21}[AQgw]==$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

let parts: Parts | undefined;

/** The parts of the package `ws`, which are loaded by the first WebSocket of a thread: that takes 20 ms. */
export function webSocketParts(): Parts {
  parts ??= createRequire(import.meta.url)('ws') as Parts;
  return parts;
}

/** Why a request is not answered by a WebSocket, and what answers it. */
export interface HandshakeRefusal {
  readonly error: GatewayError;
  readonly status: number;
  readonly fields: Fields;
}

function refuse(status: number, message: string, fields: Fields = []): HandshakeRefusal {
  const isOrigin = status === 403;
  const error = new GatewayError(
    isOrigin ? 'LGW_WEBSOCKET_ORIGIN' : 'LGW_WEBSOCKET_HANDSHAKE',
    `Cannot open a WebSocket: ${message}`,
    { status, luaCode: isOrigin ? 'denied' : 'invalid' },
  );
  return { error, status, fields };
}

/** What answers the request of `exchange`; a refusal where it asks for no WebSocket, or in a wrong way. */
export function readHandshake(exchange: Exchange, options: HandshakeOptions): Handshake | HandshakeRefusal {
  const { fields } = exchange;
  const isStream = exchange.connectProtocol !== undefined;
  if (!isStream) {
    const refusal = checkUpgrade(exchange);
    if (refusal !== undefined) return refusal;
  }
  const version = fieldValue(fields, 'sec-websocket-version');
  if (version !== VERSION) {
    const status = version === undefined ? 400 : 426;
    const message = `Sec-WebSocket-Version is ${version === undefined ? 'missing' : JSON.stringify(version)}, and ${VERSION} is what there is`;
    return refuse(status, message, ['sec-websocket-version', VERSION, ...upgradeFields(exchange)]);
  }
  const key = fieldValue(fields, 'sec-websocket-key');
  if (!isStream && !KEY.test(key ?? '')) return refuse(400, 'Sec-WebSocket-Key is not 16 bytes in base64');
  const refusal = checkOrigin(exchange, options.origins);
  if (refusal !== undefined) return refusal;
  const offered = readProtocols(fieldValue(fields, 'sec-websocket-protocol'));
  if (offered === undefined) return refuse(400, 'Sec-WebSocket-Protocol is no list of different tokens');
  const protocol = options.protocols.find((name) => offered.includes(name));
  const deflate = chooseDeflate(fieldValue(fields, 'sec-websocket-extensions'), options);
  if (deflate !== undefined && 'error' in deflate) return deflate;
  const answer: string[] = [];
  if (!isStream) answer.push('sec-websocket-accept', webSocketAccept(key as string));
  if (protocol !== undefined) answer.push('sec-websocket-protocol', protocol);
  if (deflate !== undefined) {
    const { extension, PerMessageDeflate: Deflate } = webSocketParts();
    answer.push('sec-websocket-extensions', extension.format({ [Deflate.extensionName]: [deflate.params] }));
  }
  return { protocol, deflate, fields: answer };
}

/** RFC 6455 §4.2.1: what stands in a request of HTTP/1.1. */
function checkUpgrade(exchange: Exchange): HandshakeRefusal | undefined {
  const { fields, method, protocol } = exchange;
  const asks =
    hasListMember(fieldValue(fields, 'upgrade') ?? '', 'websocket') &&
    hasListMember(fieldValue(fields, 'connection') ?? '', 'upgrade');
  if (!asks || protocol !== 'HTTP/1.1')
    return refuse(426, 'the request does not ask for one', upgradeFields(exchange));
  if (method !== 'GET') return refuse(400, `the method is ${method}, and GET is what it has to be`);
  return undefined;
}

/** RFC 9110 §15.5.22; over HTTP/2 there is no such field. */
function upgradeFields({ protocol }: Exchange): Fields {
  return protocol === 'HTTP/1.1' ? ['upgrade', 'websocket', 'connection', 'Upgrade'] : [];
}

/** Browsers send Origin, and do not keep pages of other sites from opening a WebSocket with the cookies of this one. */
function checkOrigin(
  { fields, scheme, authority }: Exchange,
  origins: HandshakeOptions['origins'],
): HandshakeRefusal | undefined {
  const origin = fieldValue(fields, 'origin');
  // whoever is no browser may say what it likes
  if (origins === 'any' || origin === undefined) return undefined;
  const wanted = origin.toLowerCase();
  const isAllowed =
    origins === 'same'
      ? isSameHost(wanted, scheme, authority)
      : origins.some((one) => one.toLowerCase() === wanted);
  if (isAllowed) return undefined;
  return refuse(403, `pages of ${JSON.stringify(origin.slice(0, 200))} may not`);
}

/** True for an origin of this host and port. Over cleartext it may be one of https, too: a proxy may have taken the TLS off. */
function isSameHost(origin: string, scheme: 'https' | 'http', authority: string): boolean {
  const [, schemeOfOrigin, host] = /^(https?):\/\/([^/]+)$/.exec(origin) ?? [];
  if (schemeOfOrigin === undefined || host === undefined) return false;
  if (scheme === 'https' && schemeOfOrigin !== 'https') return false;
  return isSameAuthority(host, authority, schemeOfOrigin);
}

/** The tokens of the list; undefined where it is none, or has one twice. */
function readProtocols(value: string | undefined): readonly string[] | undefined {
  if (value === undefined) return [];
  const names = value.split(',').map((name) => name.replace(/^[\t ]+|[\t ]+$/g, ''));
  if (names.length > PROTOCOLS_MAX || !names.every((name) => TOKEN.test(name))) return undefined;
  return new Set(names).size === names.length ? names : undefined;
}

/** True for the name of a subprotocol. */
export function isProtocolName(name: string): boolean {
  return TOKEN.test(name);
}

/** An offer that cannot be taken is declined (RFC 7692 §7): the messages go as they are. */
function chooseDeflate(
  value: string | undefined,
  { deflate: isWanted, messageBytesMax }: HandshakeOptions,
): PerMessageDeflate | HandshakeRefusal | undefined {
  if (value === undefined) return undefined;
  const { extension, PerMessageDeflate: Deflate } = webSocketParts();
  let offers: ReturnType<typeof extension.parse>;
  try {
    offers = extension.parse(value);
  } catch {
    return refuse(400, 'Sec-WebSocket-Extensions is not well-formed');
  }
  if (!isWanted) return undefined;
  for (const offer of offers[Deflate.extensionName] ?? []) {
    const deflate = new Deflate({
      isServer: true,
      maxPayload: messageBytesMax,
      serverNoContextTakeover: true,
      threshold: DEFLATE_BYTES_MIN,
      concurrencyLimit: POOL_JOBS_MAX,
      zlibDeflateOptions: { level: DEFLATE_LEVEL, memLevel: DEFLATE_MEMORY_LEVEL },
    });
    try {
      deflate.accept([offer]);
      return deflate;
    } catch {
      // the next one may do
    }
  }
  return undefined;
}
