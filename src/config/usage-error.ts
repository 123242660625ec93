/** What a user got wrong on the command line; the message names the option and what it wants. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A word of the command line between quotation marks, on one line whatever it holds. */
export function quote(word: string): string {
  return JSON.stringify(word);
}
