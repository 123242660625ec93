/** Words of a script in messages of ours. */

/** A word in a message is cut (bytes). */
const SHOWN_BYTES_MAX = 100;

export function shortWord(word: string): string {
  return word.length > SHOWN_BYTES_MAX ? `${word.slice(0, SHOWN_BYTES_MAX)}…` : word;
}
