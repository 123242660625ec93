/** Writes commands as Redis reads them: arrays of strings of bytes. */

/** A text stands for its bytes, one character a byte (latin1). */
export type Word = string | Uint8Array;

/** Most commands are one text; in those with long words texts and bytes take turns. */
export type Command = string | readonly Word[];

/** Longer words go to the socket as they are. */
const JOINED_BYTES_MAX = 4096;

export function command(...words: readonly Word[]): Command {
  let text = `*${words.length}\r\n`;
  let pieces: Word[] | undefined;
  for (const word of words) {
    if (typeof word === 'string') text += `$${word.length}\r\n${word}\r\n`;
    else if (word.length <= JOINED_BYTES_MAX) text += `$${word.length}\r\n${textOf(word)}\r\n`;
    else {
      pieces ??= [];
      pieces.push(`${text}$${word.length}\r\n`, word);
      text = '\r\n';
    }
  }
  if (pieces === undefined) return text;
  pieces.push(text);
  return pieces;
}

/**
 * The same for commands that begin alike: `count` words in all, the first of which are `words`. What comes behind is written by
 * `wordText`. Saves a third of the garbage of a call (scenario store-incr).
 */
export function commandHead(count: number, ...words: readonly string[]): string {
  return `*${count}\r\n${words.map(wordText).join('')}`;
}

export function wordText(word: string): string {
  return `$${word.length}\r\n${word}\r\n`;
}

export function bytesOf(one: Command): number {
  if (typeof one === 'string') return one.length;
  return one.reduce((bytes, { length }) => bytes + length, 0);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
