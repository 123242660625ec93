/**
 * Recognises loops of fetches: each fetch has the field CDN-Loop (RFC 8586) with one word for each fetch that led to it. A
 * handler that fetches itself therefore ends soon, also where other servers are in the loop.
 */
import { GatewayError } from '../base/errors.ts';
import type { FetchRequest } from './fetch-request.ts';

export const LOOP_FIELD = 'cdn-loop';
/** The word of a gateway in CDN-Loop. */
export const LOOP_NAME = 'lgateway';
/** The longest chain of fetches that one request may cause: services that ask services have chains of three or four. */
const FETCH_DEPTH_MAX = 8;

/** Returns how many fetches have led to a request with these fields (names and values in turn). */
export function fetchDepthOf(fields: readonly string[]): number {
  let depth = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (name.length !== LOOP_FIELD.length || name.toLowerCase() !== LOOP_FIELD) continue;
    for (const part of (fields[i + 1] as string).split(',')) {
      const [id = ''] = part.split(';', 1);
      if (id.trim().toLowerCase() === LOOP_NAME) depth += 1;
    }
  }
  return depth;
}

/** Adds CDN-Loop to the request of a fetch, where `depth` fetches have led to the handler; throws a GatewayError when these are too many. */
export function withFetchDepth(request: FetchRequest, depth: number): FetchRequest {
  // the word in `fields` counts one already
  if (depth === 0) return request;
  if (depth >= FETCH_DEPTH_MAX) {
    const message = `Cannot fetch "${request.url.origin}": ${depth} fetches have led to this request and the limit is ${FETCH_DEPTH_MAX}: it seems to ask for itself`;
    throw new GatewayError('LGW_FETCH_LIMIT', message, { luaCode: 'limit' });
  }
  const value = new Array<string>(depth + 1).fill(LOOP_NAME).join(', ');
  const fields = request.fields.map((text, i) =>
    i % 2 === 1 && request.fields[i - 1] === LOOP_FIELD ? value : text,
  );
  return { ...request, fields };
}
