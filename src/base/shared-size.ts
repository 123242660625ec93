/** Names and sizes of dictionaries that workers share: the rule for the command line and for those who make them. */

export interface SharedSize {
  readonly name: string;
  readonly bytes: number;
}

/** What a name may look like: it stands on a command line, in a log line and in a slot of 64 bytes. */
export const SHARED_NAME: RegExp = /^[A-Za-z0-9_.-]{1,63}$/;

/** Of a dictionary whose size nobody gave; taken from the system only as it fills. */
export const SHARED_BYTES_DEFAULT: number = 16 * 1024 * 1024;
/** Room for some hundred counters. */
export const SHARED_BYTES_MIN: number = 64 * 1024;
/** The size of a value shares a word of 32 bits with its type; and more belongs into a database. */
export const SHARED_BYTES_MAX: number = 256 * 1024 * 1024;
