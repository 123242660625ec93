/** Names the status codes: reason phrases for HTTP/1 status lines and error pages (RFC 9110 §15). */
import { STATUS_CODES } from 'node:http';

/** The reason phrase of a status code; `Unknown` for codes that are not registered. */
export function reasonPhrase(status: number): string {
  return STATUS_CODES[status] ?? 'Unknown';
}

/** True when a response with this status never has content (RFC 9110 §6.4.1). */
export function isBodyless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}
