/** Which answers are compressed: what an operator may say about it, and the defaults. */

export interface CompressionSettings {
  /** Answers are compressed where the client takes that; otherwise only those that ask for it themselves. */
  readonly enabled: boolean;
  /** Media types: `text/html`, `text/*`, or `+json` for all types with that suffix. */
  readonly types: readonly string[];
  /** An answer that is known to be shorter goes as it is. */
  readonly bytesMin: number;
}

export const DEFAULT_COMPRESSION: CompressionSettings = {
  // as nginx and Caddy: a secret beside text that the client chooses shows in the length of what is compressed (SECURITY.md)
  enabled: false,
  // what is text, or is stored without compression
  types: [
    'text/*',
    '+json',
    '+xml',
    'application/json',
    'application/javascript',
    'application/xml',
    'application/x-ndjson',
    'application/wasm',
    'font/otf',
    'font/ttf',
  ],
  // one TCP segment: less does not arrive sooner when it is shorter
  bytesMin: 1024,
};

/** Entries of the list of types. */
export const COMPRESSION_TYPES_MAX = 100;
/** The largest least size: a larger one is a slip of the keyboard. */
export const COMPRESSION_BYTES_MIN_MAX: number = 1024 * 1024 * 1024;

const TYPE = /^(?:\+[\w!#$&^.-]{1,64}|[\w!#$&^.+-]{1,64}\/(?:\*|[\w!#$&^.+-]{1,64}))$/;

/** True for what may stand in the list of types. */
export function isTypePattern(text: string): boolean {
  return TYPE.test(text);
}
