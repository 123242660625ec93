/** Makes the head of an HTTP/1 request of its line and its fields: what it asks for, of whom, and whether it is refused. */

import { isAuthority } from '../../base/authority.ts';
import type { ExchangeConnection } from '../exchange/exchange.ts';
import type { RequestHead } from '../exchange/request-head.ts';
import { type Fields, isNamed } from '../semantics/fields.ts';
import { isKnownMethod } from '../semantics/methods.ts';
import { splitAbsoluteForm } from '../semantics/path.ts';
import { type RequestFraming, readFraming } from './http1-framing.ts';

/** What a request line says. */
export interface RequestLine {
  readonly method: string;
  readonly target: string;
  /** Of HTTP/1: 0, or 1 for all later ones (RFC 9110 §2.5). */
  readonly minor: number;
}

/** What the access log has in place of what was never known. */
const UNKNOWN = '-';

export interface Http1Request {
  readonly line: RequestLine;
  readonly head: RequestHead;
  readonly framing: RequestFraming;
  /** The status that refuses the request; 0 when it is served. */
  readonly refusal: number;
}

/** `bodyBytesMax`: Infinity = no limit. */
export function readRequest(
  line: RequestLine,
  rawFields: Fields,
  scheme: 'https' | 'http',
  connection: ExchangeConnection,
  bodyBytesMax: number,
): Http1Request {
  const { method, minor } = line;
  const framing = readFraming(rawFields, minor);
  let fields = rawFields;
  let { target } = line;
  let { refusal, host: authority } = framing;
  const absolute = splitAbsoluteForm(target);
  if (absolute !== undefined) {
    target =
      absolute.target === '/' && method === 'OPTIONS' && !line.target.endsWith('/') ? '*' : absolute.target;
    authority = absolute.authority;
    fields = withHost(fields, authority);
    if (!isAuthority(authority)) refusal = 400;
    // RFC 9110 §7.4: such a resource is only to be had over a secured connection
    else if (absolute.scheme === 'https' && scheme === 'http') refusal ||= 421;
  } else if (!target.startsWith('/') && (target !== '*' || method !== 'OPTIONS')) refusal = 400;
  if (refusal === 0 && (framing.declaredLength ?? 0) > bodyBytesMax) refusal = 413;
  else if (refusal === 0 && !isKnownMethod(method)) refusal = 501;
  const head: RequestHead = {
    protocol: minor === 0 ? 'HTTP/1.0' : 'HTTP/1.1',
    method,
    target,
    scheme,
    authority,
    fields,
    connection,
    pushed: false,
    hasBody: hasBody(framing),
    declaredLength: framing.declaredLength,
    memo: undefined,
    logged: undefined,
    split: undefined,
  };
  return { line, head, framing, refusal };
}

/** The head of a request that never became one; `line` is undefined where not even that could be read. */
export function refusedHead(
  line: RequestLine | undefined,
  scheme: 'https' | 'http',
  connection: ExchangeConnection,
): RequestHead {
  return {
    protocol: line?.minor === 0 ? 'HTTP/1.0' : 'HTTP/1.1',
    method: line?.method ?? UNKNOWN,
    target: line?.target ?? UNKNOWN,
    scheme,
    authority: '',
    fields: [],
    connection,
    pushed: false,
    hasBody: false,
    declaredLength: undefined,
    memo: undefined,
    logged: undefined,
    split: undefined,
  };
}

export function hasBody({ chunked, declaredLength }: RequestFraming): boolean {
  return chunked || (declaredLength ?? 0) > 0;
}

/** The fields with `host` as the one value of Host (RFC 9112 §3.2.2). */
function withHost(fields: Fields, host: string): Fields {
  const at = fields.findIndex((name, i) => i % 2 === 0 && isNamed(name, 'host'));
  return at === -1 ? [...fields, 'Host', host] : fields.with(at + 1, host);
}
