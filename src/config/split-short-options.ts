/** Writes clustered and attached short options apart, as POSIX has them (`-fp8443` is `-f --port=8443`), and shows where an option stands without a value. */
import type { AnyOption } from './option.ts';

/** Returns the words with every short option standing alone. A cluster with an unknown letter is left as it is. */
export function splitShortOptions(words: readonly string[], options: readonly AnyOption[]): string[] {
  const end = words.indexOf('--');
  return words.flatMap((word, i) => {
    if (end !== -1 && i >= end) return [word];
    if (/^-[A-Za-z]./.test(word)) return splitWord(word, options) ?? [word];
    return [isAttachedAlone(word, options) ? `${word}=` : word];
  });
}

/** `--access-log`, whose value cannot be the next word, becomes `--access-log=`. */
function isAttachedAlone(word: string, options: readonly AnyOption[]): boolean {
  return options.some(
    (option) => option.kind === 'value' && option.isAttached === true && word === `--${option.name}`,
  );
}

function splitWord(word: string, options: readonly AnyOption[]): string[] | undefined {
  const parts: string[] = [];
  for (let i = 1; i < word.length; i++) {
    const option = options.find((candidate) => candidate.short === word[i]);
    if (option === undefined) return undefined;
    const rest = word.slice(i + 1);
    const takesRest =
      rest !== '' && (option.kind === 'tuple' || (option.kind === 'value' && wantsRest(option, rest)));
    if (takesRest) {
      const value = rest.startsWith('=') ? rest.slice(1) : rest;
      return [
        ...parts,
        ...(option.kind === 'tuple' ? [`-${option.short}`, value] : [`--${option.name}=${value}`]),
      ];
    }
    parts.push(`-${option.short}`);
  }
  return parts;
}

/** `-d5` is a level, `-df` is two flags; every other option takes whatever follows. */
function wantsRest(option: AnyOption & { kind: 'value' }, rest: string): boolean {
  return option.bare === undefined || /^[=\d]/.test(rest);
}
