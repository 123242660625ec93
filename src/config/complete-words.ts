/** Answers the shell's question which words could stand where the cursor is. */
import type { AnyOption } from './option.ts';
import { ALL_OPTIONS } from './options.ts';
import { SUBCOMMANDS } from './subcommand-names.ts';

/** The first word of the call that the completion script of yargs makes. */
export const COMPLETION_QUERY = '--get-yargs-completions';

/**
 * Words that may stand in place of the last one of `words`. Empty where a value is wanted that is not one of a list:
 * the shell then offers file names. `describe` writes each as zsh (`:`) or fish (tab) wants it with its help.
 */
export function completeWords(words: readonly string[], shell: string): string[] {
  // bash makes a word of each =
  const typed = words.filter((word) => word !== '=');
  const current = typed.at(-1) ?? '';
  const previous = findOption(typed.at(-2) ?? '');
  if (
    previous?.kind === 'value' &&
    previous.isAttached !== true &&
    !(previous.bare !== undefined && current.startsWith('-'))
  )
    return (previous.value.choices ?? []).filter((word) => word.startsWith(current));
  if (current !== '' && !current.startsWith('-'))
    return isFirst(typed)
      ? SUBCOMMANDS.map(({ name }) => name).filter((name) => name.startsWith(current))
      : [];
  if (previous?.kind === 'tuple' || findOption(typed.at(-3) ?? '')?.kind === 'tuple') return [];
  return ALL_OPTIONS.filter((option) => option.kind === 'tuple' || repeats(option) || !isGiven(option, typed))
    .map((option) => describe(option, shell))
    .filter((word) => word.startsWith(current));
}

/** Some shells give the name of the program, too. */
function isFirst(typed: readonly string[]): boolean {
  return typed.length === (/(?:^|\/)lgateway$/.test(typed[0] ?? '') ? 2 : 1);
}

function describe(option: AnyOption, shell: string): string {
  const word = `--${option.name}`;
  if (shell.includes('zsh')) return `${word}:${option.help.replaceAll(':', '\\:')}`;
  return shell.includes('fish') ? `${word}\t${option.help}` : word;
}

function repeats(option: AnyOption): boolean {
  return option.kind === 'value' && option.repeats === true;
}

function isGiven(option: AnyOption, typed: readonly string[]): boolean {
  return typed.slice(0, -1).some((word) => findOption(word) === option);
}

function findOption(word: string): AnyOption | undefined {
  return ALL_OPTIONS.find((option) => word === `--${option.name}` || word === `-${option.short}`);
}
