/** The keys of session tickets: one set for all workers, or resumption would work one time in n; changed by the hour. */
import { randomBytes } from 'node:crypto';

/** Name, HMAC key and AES key of OpenSSL's tickets, 16 bytes each. */
export const TICKET_KEY_BYTES = 48;
/** How long a set of keys makes tickets. */
export const TICKET_PERIOD_MS = 3_600_000;
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
  return keys.map(textOf).join();
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key).toString('base64');
}

export class TicketKeyRing {
  readonly #periodMs: number;
  #keys: readonly Uint8Array[];
  #timer: NodeJS.Timeout | undefined;
  /** Until then keys come from elsewhere: milliseconds of `performance.now()`. */
  #adoptedUntil = 0;
  #changed: (() => void) | undefined;

  /** `keys`: to begin with; default: new ones. */
  constructor(periodMs: number = TICKET_PERIOD_MS, keys: readonly Uint8Array[] = [createTicketKeys()]) {
    [this.#periodMs, this.#keys] = [periodMs, keys];
  }

  /** The newest first; a list does not change. */
  get keys(): readonly Uint8Array[] {
    return this.#keys;
  }

  /** Changes the keys by the hour, and calls `changed` then. */
  start(changed: () => void): void {
    this.#changed = changed;
    this.#timer ??= setInterval(() => {
      if (performance.now() < this.#adoptedUntil) return;
      this.#keys = [createTicketKeys(), ...this.#keys].slice(0, TICKET_KEYS_MAX);
      changed();
    }, this.#periodMs).unref();
  }

  /** Keys that others have, too, the one that makes tickets first; own ones are read as long as there is room, and made again when none come for a period. */
  adopt(keys: readonly Uint8Array[]): void {
    this.#adoptedUntil = performance.now() + this.#periodMs;
    const texts = new Set(keys.map(textOf));
    const next = [...keys, ...this.#keys.filter((one) => !texts.has(textOf(one)))].slice(0, TICKET_KEYS_MAX);
    if (showTicketKeys(next) === showTicketKeys(this.#keys)) return;
    this.#keys = next;
    this.#changed?.();
  }

  stop(): void {
    this.#changed = undefined;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
