/** The keys of session tickets: one set for all workers, or resumption would work one time in n; changed by the hour. */
import { randomBytes } from 'node:crypto';

/** Name, HMAC key and AES key of OpenSSL's tickets, 16 bytes each. */
export const TICKET_KEY_BYTES = 48;
/** How long a set of keys makes tickets. */
const PERIOD_MS = 3_600_000;
/** Those that read tickets: the session of the oldest has lasted for four hours (SESSION_TIMEOUT_SECONDS), beside the newest. */
export const TICKET_KEYS_MAX = 5;

/** New keys. They are secret: with them, an attacker can decrypt the TLS 1.2 sessions that were resumed while they were in use. */
export function createTicketKeys(): Uint8Array {
  return new Uint8Array(randomBytes(TICKET_KEY_BYTES));
}

/** Sets of keys that another process has used, from Base64, the newest first; undefined when they are none. */
export function readTicketKeys(base64: string | undefined): readonly Uint8Array[] | undefined {
  if (base64 === undefined) return undefined;
  const keys = base64
    .split(',', TICKET_KEYS_MAX)
    .map((one) => new Uint8Array(Buffer.from(one, 'base64')))
    .filter((one) => one.length === TICKET_KEY_BYTES);
  return keys.length === 0 ? undefined : keys;
}

/** As `readTicketKeys` reads them. */
export function showTicketKeys(keys: readonly Uint8Array[]): string {
  return keys.map((one) => Buffer.from(one).toString('base64')).join();
}

export class TicketKeyRing {
  readonly #periodMs: number;
  #keys: readonly Uint8Array[];
  #timer: NodeJS.Timeout | undefined;

  /** `keys`: to begin with; default: new ones. */
  constructor(periodMs: number = PERIOD_MS, keys: readonly Uint8Array[] = [createTicketKeys()]) {
    [this.#periodMs, this.#keys] = [periodMs, keys];
  }

  /** The newest first; a list does not change. */
  get keys(): readonly Uint8Array[] {
    return this.#keys;
  }

  /** Changes the keys by the hour, and calls `changed` then. */
  start(changed: () => void): void {
    this.#timer ??= setInterval(() => {
      this.#keys = [createTicketKeys(), ...this.#keys].slice(0, TICKET_KEYS_MAX);
      changed();
    }, this.#periodMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
