/** Makes the next request when a response redirects, by the fetch standard (HTTP-redirect fetch). */
import { isUtf8 } from 'node:buffer';
import type { GatewayError } from '../base/errors.ts';
import { fetchFailure } from './fetch-error.ts';
import { type FetchRequest, type FetchTls, parseUrl } from './fetch-request.ts';

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Fields that describe a body, which leave with a body that is not sent again. */
const CONTENT_FIELD = /^content-/;
/** Fields with secrets for one origin, which another origin does not get. */
const PRIVATE_FIELDS: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  'host',
  'proxy-authorization',
]);

/** Returns where a response redirects to; undefined: it does not redirect. */
export function redirectTarget(status: number, fields: readonly string[]): string | undefined {
  if (!REDIRECTS.has(status)) return undefined;
  const at = fields.findIndex((name, i) => i % 2 === 0 && name === 'location');
  const location = at === -1 ? undefined : fields[at + 1];
  if (location === undefined || location === '') return undefined;
  const bytes = Buffer.from(location, 'latin1');
  return isUtf8(bytes) ? bytes.toString() : location;
}

/** Returns the next request, or why there is none. Throws a GatewayError for a location that is no URL. */
export function redirected(
  request: FetchRequest,
  status: number,
  location: string,
): FetchRequest | GatewayError {
  // some servers write blanks, for which browsers send %20
  const url = parseUrl(location.trim().replaceAll(' ', '%20'), request.url);
  const becomesGet =
    status === 303
      ? request.method !== 'GET' && request.method !== 'HEAD'
      : status <= 302 && request.method === 'POST';
  const hasSource = request.body !== undefined && !(request.body instanceof Uint8Array);
  if (hasSource && !becomesGet) {
    const text = `it redirects to "${url.origin}${url.pathname}", and a body that was streamed cannot be sent again`;
    return fetchFailure('invalid', request.url, text);
  }
  const isSameOrigin = url.origin === request.url.origin;
  const fields: string[] = [];
  for (let i = 0; i < request.fields.length; i += 2) {
    const name = request.fields[i] as string;
    if (becomesGet && CONTENT_FIELD.test(name)) continue;
    if (!isSameOrigin && PRIVATE_FIELDS.has(name)) continue;
    fields.push(name, request.fields[i + 1] as string);
  }
  return {
    ...request,
    url,
    method: becomesGet ? 'GET' : request.method,
    fields,
    body: becomesGet ? undefined : request.body,
    bodyLength: becomesGet ? undefined : request.bodyLength,
    redirectsMax: (request.redirectsMax ?? 1) - 1,
    tls: isSameOrigin || request.tls === undefined ? request.tls : elsewhere(request.tls),
  };
}

/** Removes the client certificate and the expected name, which are for one origin. */
function elsewhere(tls: FetchTls): FetchTls {
  return { ...tls, cert: undefined, key: undefined, servername: undefined };
}
