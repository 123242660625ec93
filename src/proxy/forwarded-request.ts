/** Makes the request for an upstream of the one that a client has sent: which fields go on, and which the proxy adds (RFC 9110 §7.6). */
import { type BlockList, isIPv6 } from 'node:net';
import { traceFields } from '../base/trace-context.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import { type Fields, fieldValue, hasListMember, isNamed, trimBlanks } from '../http/semantics/fields.ts';
import { newWebSocketKey } from '../http/semantics/websocket-key.ts';
import type { ProxyTarget } from '../mapping/proxy-target.ts';
import { namedByConnection } from './answer-head.ts';
import type { ProxySettings } from './proxy-settings.ts';
import type { UpstreamRequest } from './upstream.ts';

/** What the gateway calls itself in Via (RFC 9110 §7.6.3). */
const VIA_NAME = 'lgateway';

/** Methods that may be sent twice (RFC 9110 §9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

/** Fields that are made anew, or speak of the connection to the client. */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'connection',
  'proxy-connection',
  'keep-alive',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  // the gateway itself sends 100 Continue
  'expect',
  'via',
  'cookie',
  'max-forwards',
  // as they were read, with a span of the gateway's own
  'traceparent',
  'tracestate',
]);
/** What clients must not say of themselves. */
const FORWARDED_FIELDS: ReadonlySet<string> = new Set([
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
]);

/** Errors: none; the front end has refused what is not well-formed. `target`: the path, as `forwardedTarget` says it. */
export function forwardedRequest(
  exchange: Exchange,
  settings: ProxySettings,
  { authority: own }: ProxyTarget,
  path: string,
): UpstreamRequest {
  const { method, authority: asked, fields: given } = exchange;
  const authority = settings.host === true ? asked || own : settings.host || own;
  const isTrusted = settings.trusted !== undefined && isTrustedClient(exchange, settings.trusted);
  const named = namedByConnection(fieldValue(given, 'connection') ?? '');
  const { connectProtocol } = exchange;
  // what an extended CONNECT sends belongs to the tunnel
  const hasBody = connectProtocol === undefined && exchange.identity.hasBody;
  const fields: string[] = [];
  for (let i = 0; i < given.length; i += 2) {
    const name = given[i] as string;
    const lower = name.toLowerCase();
    if (OWN_FIELDS.has(lower) || named?.has(lower) === true || settings.removedFields.has(lower)) continue;
    // many servers (CGI, WSGI, PHP) take `_` and `-` for the same
    const alike = lower.includes('_') ? lower.replaceAll('_', '-') : lower;
    if (alike !== lower && settings.removedFields.has(alike)) continue;
    if (!isTrusted && FORWARDED_FIELDS.has(alike)) continue;
    if (isTrusted && isReplaced(lower, settings)) continue;
    // nothing follows a body that is not there
    if (!hasBody && isNamed(name, 'trailer')) continue;
    fields.push(name, given[i + 1] as string);
  }
  if (named?.has('cookie') !== true) addCookie(fields, given, settings);
  addForwarded(fields, exchange, settings, isTrusted);
  addVia(fields, exchange);
  addMaxForwards(fields, given, method);
  addTrace(fields, exchange, settings, named);
  fields.push(...settings.setFields);
  if (connectProtocol !== undefined) fields.push('Sec-WebSocket-Key', newWebSocketKey());
  return {
    method,
    target: path,
    authority,
    fields,
    hasBody,
    declaredLength: hasBody ? exchange.body.declaredLength : undefined,
    announcesTrailers: hasBody && fieldValue(given, 'trailer') !== undefined,
    takesTrailers: hasListMember(fieldValue(given, 'te') ?? '', 'trailers'),
    upgrade: connectProtocol ?? (hasBody ? undefined : upgradeOf(given)),
    isIdempotent: IDEMPOTENT.has(method),
    memo: undefined,
  };
}

/** True for a target that one line of HTTP/1.1 can have, and that every server reads alike: visible ASCII, no fragment (RFC 9112 §3.2). */
export function isPassable(target: string): boolean {
  return /^[!"$-~]+$/.test(target);
}

/** Fields that have no business behind a body: they frame it, lead it, say who asks or under which condition, or tell what it is (RFC 9110 §6.5.1). */
const NO_TRAILERS: ReadonlySet<string> = new Set([
  ...OWN_FIELDS,
  ...FORWARDED_FIELDS,
  'trailer',
  'authorization',
  'proxy-authorization',
  'cache-control',
  'pragma',
  'range',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  'content-encoding',
  'content-type',
  'content-range',
]);

/** Those trailers of a request that go on; undefined: none. */
export function forwardedTrailers(given: Fields | undefined, settings: ProxySettings): Fields | undefined {
  if (given === undefined) return undefined;
  const fields: string[] = [];
  for (let i = 0; i < given.length; i += 2) {
    // as of heads: `_` and `-` are the same to many servers
    const lower = (given[i] as string).toLowerCase();
    const alike = lower.replaceAll('_', '-');
    const isRemoved = settings.removedFields.has(lower) || settings.removedFields.has(alike);
    if (!NO_TRAILERS.has(alike) && !isRemoved) fields.push(given[i] as string, given[i + 1] as string);
  }
  return fields.length === 0 ? undefined : fields;
}

/** What the upstream is asked for. Undefined: the client has written the prefix otherwise, so that it cannot be exchanged without reading the path. */
export function forwardedTarget(
  { target }: Exchange,
  prefix: string,
  { basePath }: ProxyTarget,
  { path }: ProxySettings,
): string | undefined {
  if (path !== undefined) return path;
  if (basePath === undefined || target === '*') return target;
  const start = prefix === '/' ? 0 : prefix.length;
  if (prefix !== '/' && !target.startsWith(prefix)) return undefined;
  const rest = target.slice(start);
  if (rest === '' || rest.startsWith('?')) return `${basePath || '/'}${rest}`;
  return rest.startsWith('/') ? basePath + rest : undefined;
}

/** A proxy that must not pass the request on (RFC 9110 §7.6.2). */
export function isLastHop({ method, fields }: Exchange): boolean {
  return (method === 'OPTIONS' || method === 'TRACE') && fieldValue(fields, 'max-forwards') === '0';
}

/** How many gateways of this kind the request has gone through. */
export function viaDepth(fields: Fields): number {
  const via = fieldValue(fields, 'via');
  if (via === undefined) return 0;
  return via.split(',').filter((member) => member.trim().split(/\s+/)[1]?.toLowerCase() === VIA_NAME).length;
}

/**
 * What a client would go on with. Other versions of HTTP and TLS are offered to no server: behind such a change requests would go past
 * the gateway, to paths that no mapping has. HTTP/1.0 and HTTP/2 have no such field.
 */
function upgradeOf(fields: Fields): string | undefined {
  if (!hasListMember(fieldValue(fields, 'connection') ?? '', 'upgrade')) return undefined;
  const offered = fieldValue(fields, 'upgrade')?.split(',').map(trimBlanks);
  return (
    offered?.filter((one) => one !== '' && !/^(?:h2c?|https?|tls)(?:$|\/)/i.test(one)).join(', ') || undefined
  );
}

/** HTTP/2 may have it in pieces, HTTP/1.1 has one (RFC 9113 §8.2.3). */
function addCookie(fields: string[], given: Fields, { removedFields }: ProxySettings): void {
  if (removedFields.has('cookie')) return;
  const cookie = fieldValue(given, 'cookie');
  if (cookie !== undefined) fields.push('Cookie', cookie);
}

/** A client that is trusted keeps what it says; only the lists get our own member. */
function isReplaced(lower: string, { forwarded }: ProxySettings): boolean {
  if (lower === 'x-forwarded-for') return forwarded === 'x' || forwarded === 'both';
  return lower === 'forwarded' && (forwarded === 'rfc7239' || forwarded === 'both');
}

function addForwarded(
  fields: string[],
  { connection, scheme, authority, fields: given }: Exchange,
  { forwarded }: ProxySettings,
  isTrusted: boolean,
): void {
  if (forwarded === false) return;
  // a client that has gone already has no address any more (RFC 7239 §6.2)
  const peerAddress = connection.peerAddress || 'unknown';
  const before = (name: string): string => {
    const value = isTrusted ? fieldValue(given, name) : undefined;
    return value === undefined ? '' : `${value}, `;
  };
  const has = (name: string): boolean => isTrusted && fieldValue(given, name) !== undefined;
  if (forwarded !== 'rfc7239') {
    fields.push('X-Forwarded-For', before('x-forwarded-for') + peerAddress);
    if (!has('x-forwarded-proto')) fields.push('X-Forwarded-Proto', scheme);
    if (authority !== '' && !has('x-forwarded-host')) fields.push('X-Forwarded-Host', authority);
  }
  if (forwarded !== 'x') {
    const node = isIPv6(peerAddress) ? `"[${peerAddress}]"` : peerAddress;
    const host = authority === '' ? '' : `;host="${authority}"`;
    fields.push('Forwarded', `${before('forwarded')}for=${node};proto=${scheme}${host}`);
  }
}

function addVia(fields: string[], { protocol, fields: given }: Exchange): void {
  const version = protocol === 'HTTP/2' ? '2.0' : protocol.slice('HTTP/'.length);
  const before = fieldValue(given, 'via');
  fields.push('Via', `${before === undefined ? '' : `${before}, `}${version} ${VIA_NAME}`);
}

/** A `traceparent` that is not well-formed goes no further (W3C Trace Context §3.2.2.3). */
function addTrace(
  fields: string[],
  { trace }: Exchange,
  { removedFields }: ProxySettings,
  named: ReadonlySet<string> | undefined,
): void {
  if (trace === undefined || named?.has('traceparent') === true) return;
  const own = traceFields(trace);
  for (let i = 0; i < own.length; i += 2)
    if (!removedFields.has(own[i] as string)) fields.push(own[i] as string, own[i + 1] as string);
}

/** Decremented where it has a meaning (RFC 9110 §7.6.2); elsewhere it goes on as it is. */
function addMaxForwards(fields: string[], given: Fields, method: string): void {
  const value = fieldValue(given, 'max-forwards');
  if (value === undefined) return;
  const counts = (method === 'OPTIONS' || method === 'TRACE') && /^\d{1,9}$/.test(value);
  fields.push('Max-Forwards', counts ? String(Math.max(0, Number(value) - 1)) : value);
}

function isTrustedClient({ connection: { peerAddress } }: Exchange, trusted: BlockList): boolean {
  return trusted.check(peerAddress, isIPv6(peerAddress) ? 'ipv6' : 'ipv4');
}
