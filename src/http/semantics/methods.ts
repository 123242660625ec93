/** Which methods this server knows, the same for every protocol (RFC 9110 §9.1). */
import { METHODS } from 'node:http';

const known: ReadonlySet<string> = new Set(METHODS);

/**
 * False for a method that gets 501. Node's parser refuses over HTTP/1 what is not in its list, so the same is refused
 * over HTTP/2: a script behaves alike however it is reached. Methods are case-sensitive.
 */
export function isKnownMethod(method: string): boolean {
  return known.has(method);
}

/** The methods in the answer to `OPTIONS *`: those in common use that a script may answer. */
export const ALLOWED_METHODS: string = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';
