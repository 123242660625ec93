/** The fields of a request that the cache makes for itself, of those of the client for whom it asks. */
import type { Fields } from '../http/semantics/fields.ts';

/** What would make of the answer one for this client alone: conditions, parts, what it asks of caches. */
const OF_CLIENT: ReadonlySet<string> = new Set([
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  'range',
  'cache-control',
  'pragma',
]);
/**
 * What some servers let stand for the target or the method, and no key has: an answer that a client has made so would be kept for all
 * others.
 */
const OVERRIDES: ReadonlySet<string> = new Set([
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-url',
  'x-original-host',
  'x-rewrite-url',
  'x-forwarded-path',
  'x-forwarded-prefix',
  'x-forwarded-server',
  'x-forwarded-scheme',
  'x-forwarded-ssl',
  'x-forwarded-port',
  'x-host',
  'front-end-https',
]);

/** `conditions`: under which the server may say that what is kept is still true. */
export function fillFields(given: Fields, conditions: Fields): Fields {
  const fields: string[] = [];
  for (let i = 0; i < given.length; i += 2) {
    const name = given[i] as string;
    const lower = name.toLowerCase();
    // many servers take `_` and `-` for the same
    if (!OF_CLIENT.has(lower) && !OVERRIDES.has(lower.replaceAll('_', '-')))
      fields.push(name, given[i + 1] as string);
  }
  fields.push(...conditions);
  return fields;
}
