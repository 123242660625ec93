/** Makes the keys of session tickets: one set for all workers, or resumption would work one time in n. */
import { randomBytes } from 'node:crypto';

/** Name, HMAC key and AES key of OpenSSL's tickets, 16 bytes each. */
export const TICKET_KEY_BYTES = 48;

/** Sets of another process that are taken. */
const KEYS_READ_MAX = 5;

/** New keys. They are secret: with them, an attacker can decrypt the TLS 1.2 sessions that were resumed while they were in use. */
export function createTicketKeys(): Uint8Array {
  return new Uint8Array(randomBytes(TICKET_KEY_BYTES));
}

/** Sets of keys that another process has used, from Base64, the newest first; undefined when they are none. */
export function readTicketKeys(base64: string | undefined): readonly Uint8Array[] | undefined {
  if (base64 === undefined) return undefined;
  const keys = base64
    .split(',', KEYS_READ_MAX)
    .map((one) => new Uint8Array(Buffer.from(one, 'base64')))
    .filter((one) => one.length === TICKET_KEY_BYTES);
  return keys.length === 0 ? undefined : keys;
}

/** As `readTicketKeys` reads them. */
export function showTicketKeys(keys: readonly Uint8Array[]): string {
  return keys.map((one) => Buffer.from(one).toString('base64')).join();
}
