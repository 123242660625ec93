/** Makes the keys of session tickets: one set for all workers, or resumption would work one time in n. */
import { randomBytes } from 'node:crypto';

/** Name, HMAC key and AES key of OpenSSL's tickets, 16 bytes each. */
export const TICKET_KEY_BYTES = 48;

/** New keys. They are secret: with them, an attacker can decrypt the TLS 1.2 sessions that were resumed while they were in use. */
export function createTicketKeys(): Uint8Array {
  return new Uint8Array(randomBytes(TICKET_KEY_BYTES));
}

/** Keys that another process has used, from Base64; undefined when they are none. */
export function readTicketKeys(base64: string | undefined): Uint8Array | undefined {
  if (base64 === undefined) return undefined;
  const keys = new Uint8Array(Buffer.from(base64, 'base64'));
  return keys.length === TICKET_KEY_BYTES ? keys : undefined;
}
