/** What the cache has to know of a request; read once for requests of a connection whose heads are the same. */
import type { Exchange, RequestIdentity } from '../http/exchange/exchange.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import { KEY_BYTES_MAX } from './cache-limits.ts';
import { type Directives, readDirectives } from './directives.ts';

export interface RequestFacts {
  /** Scheme, host and target; undefined: it is too long, and the request is passed on. */
  readonly key: string | undefined;
  /** GET or HEAD without anything that makes another request of it: a body, a change of protocol. */
  readonly isRead: boolean;
  /** What it asks of caches; undefined: nothing, or what is not well-formed. */
  readonly directives: Directives | undefined;
  /** It asks for a part, or under conditions. */
  readonly isConditional: boolean;
  readonly wantsPart: boolean;
  /** It says who asks: answers for others are no answers for it, but for those that say that they are for all. */
  readonly isPersonal: boolean;
  /** The answer to it must not be kept, and nothing that is kept answers it. */
  readonly isPrivate: boolean;
  /** The server is not to be asked. */
  readonly onlyIfCached: boolean;
}

const CONDITIONS = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range'];
/** What changes the state of the server, or may (RFC 9110 §9.2.1). */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

const known = new WeakMap<RequestIdentity, RequestFacts>();

export function requestFacts(exchange: Exchange): RequestFacts {
  const before = known.get(exchange.identity);
  if (before !== undefined) return before;
  const facts = readFacts(exchange);
  known.set(exchange.identity, facts);
  return facts;
}

/** What was kept of the target is not true any more when such a request has succeeded (RFC 9111 §4.4). */
export function isUnsafe(method: string): boolean {
  return !SAFE.has(method);
}

/** The key of scheme, host and target; the target is compared byte by byte, as servers may tell its spellings apart. */
export function targetKey(scheme: string, authority: string, target: string): string | undefined {
  if (authority.length + target.length > KEY_BYTES_MAX) return undefined;
  const host = authority.toLowerCase();
  const usual = scheme === 'https' ? ':443' : ':80';
  return `${scheme}\n${host.endsWith(usual) ? host.slice(0, -usual.length) : host}\n${target}`;
}

function readFacts(exchange: Exchange): RequestFacts {
  const { method, fields, scheme, authority, target, identity, connectProtocol } = exchange;
  const has = (name: string): boolean => fieldValue(fields, name) !== undefined;
  const cacheControl = fieldValue(fields, 'cache-control');
  const directives = requestDirectives(cacheControl, fieldValue(fields, 'pragma'));
  const isRead =
    (method === 'GET' || method === 'HEAD') &&
    !identity.hasBody &&
    connectProtocol === undefined &&
    !has('upgrade');
  const wantsPart = has('range');
  return {
    key: targetKey(scheme, authority, target),
    isRead,
    directives,
    wantsPart,
    isConditional: wantsPart || CONDITIONS.some(has),
    isPersonal: has('authorization') || has('cookie'),
    isPrivate: directives?.has('no-store') === true,
    onlyIfCached: directives?.has('only-if-cached') === true,
  };
}

/** `Pragma: no-cache` counts where there is no Cache-Control (RFC 9111 §5.4). */
function requestDirectives(
  cacheControl: string | undefined,
  pragma: string | undefined,
): Directives | undefined {
  const text = cacheControl ?? (pragma !== undefined && /no-cache/i.test(pragma) ? 'no-cache' : undefined);
  return text === undefined ? undefined : readDirectives(text);
}
