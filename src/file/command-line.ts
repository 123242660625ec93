/** Splits a command line without a shell, for processes started under a root. */

/** Characters that a shell acts on outside of quotes; inside double quotes these are only `$`, backquote and backslash. */
const META = /[|&;<>()$`\\*?[\]{}~#!\n\r]/;
const META_IN_DOUBLE_QUOTES = /[$`\\]/;
const WORD = /'([^']*)'|"([^"]*)"|[^ \t'"]+/y;
const BLANKS = /[ \t]*/y;

/** Returns the words of a command; undefined when the command needs a shell, or has no word, an open quote or a NUL. */
export function splitCommand(command: string): string[] | undefined {
  if (command.includes('\0')) return undefined;
  const words: string[] = [];
  let at = skipBlanks(command, 0);
  while (at < command.length) {
    let word = '';
    let next = at;
    do {
      at = next;
      WORD.lastIndex = at;
      const match = WORD.exec(command);
      if (match === null) return undefined;
      const [text, single, double] = match;
      if (single === undefined && (double === undefined ? META : META_IN_DOUBLE_QUOTES).test(text))
        return undefined;
      word += single ?? double ?? text;
      at += text.length;
      next = skipBlanks(command, at);
    } while (next === at && at < command.length);
    words.push(word);
    at = next;
  }
  // only a shell sets variables by NAME=value before a command
  if (words.length === 0 || /^\w+=/.test(words[0] as string)) return undefined;
  return words;
}

function skipBlanks(text: string, from: number): number {
  BLANKS.lastIndex = from;
  return from + (BLANKS.exec(text)?.[0].length ?? 0);
}
