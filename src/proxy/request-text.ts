/** Writes the head of a request as HTTP/1.1 has it (RFC 9112 §3, §5, §6), and its chunks. */
import type { Fields } from '../http/semantics/fields.ts';
import type { UpstreamRequest } from './upstream.ts';

/** Methods whose request has a length also where it has no body (RFC 9110 §8.6). */
const METHODS_WITH_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/** `isLast`: the connection ends behind the answer (RFC 9112 §9.6). */
export function formatRequestHead(request: UpstreamRequest, isLast: boolean): string {
  const { method, target, authority, fields, hasBody, declaredLength, upgrade, takesTrailers } = request;
  let text = `${method} ${target} HTTP/1.1\r\nHost: ${authority}\r\n`;
  for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`;
  if (hasBody)
    text +=
      declaredLength === undefined
        ? 'Transfer-Encoding: chunked\r\n'
        : `Content-Length: ${declaredLength}\r\n`;
  else if (METHODS_WITH_BODY.has(method)) text += 'Content-Length: 0\r\n';
  if (upgrade !== undefined) text += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
  else if (takesTrailers) text += `Connection: ${isLast ? 'close, ' : ''}TE\r\nTE: trailers\r\n`;
  else if (isLast) text += 'Connection: close\r\n';
  return `${text}\r\n`;
}

/** The last chunk with its trailers. */
export function formatLastChunk(trailers: Fields | undefined): string {
  if (trailers === undefined) return '0\r\n\r\n';
  let text = '0\r\n';
  for (let i = 0; i < trailers.length; i += 2) text += `${trailers[i]}: ${trailers[i + 1]}\r\n`;
  return `${text}\r\n`;
}
