/**
 * Reads a command line in which nothing is out of the ordinary, without yargs: loading that takes longer than all the
 * rest of the main thread's start. Whatever is unusual, wrong or asks for help is left to yargs.
 */
import type { OptionTexts } from './answers.ts';
import { buildConfig } from './build-config.ts';
import type { Config } from './config.ts';
import { isScriptWord } from './mappings.ts';
import type { AnyOption } from './option.ts';
import { ALL_OPTIONS, OPTIONS } from './options.ts';
import { splitShortOptions } from './split-short-options.ts';
import { UsageError } from './usage-error.ts';

/** yargs gives quotes inside of a word a meaning of their own; an empty word is hardly meant. */
const UNUSUAL = /^$|["'`\\]/;

/** What the words give, not yet checked; undefined when `parseCommandLine` has to look at them. */
export function readPlainWords(words: readonly string[]): OptionTexts | undefined {
  return words.some((word) => UNUSUAL.test(word)) ? undefined : collect(words);
}

/** The configuration that the words alone make; undefined when `parseCommandLine` has to look at them. */
export function parsePlainWords(words: readonly string[]): Config | undefined {
  const texts = readPlainWords(words);
  if (texts === undefined || texts.has(OPTIONS.config.name)) return undefined;
  try {
    return buildConfig(texts);
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}

function collect(words: readonly string[]): OptionTexts | undefined {
  const texts = new Map<string, string[][]>();
  const left = splitShortOptions(words, ALL_OPTIONS);
  const [first] = left;
  if (first !== undefined && isScriptWord(first)) {
    texts.set(OPTIONS.script.name, [[first]]);
    left.shift();
  }
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    const option = optionOf(word);
    const values = option === undefined ? undefined : takeValues(option, word, left);
    if (option === undefined || values === undefined) return undefined;
    const given = texts.get(option.name) ?? [];
    if (option.kind !== 'flag' || given.length === 0) given.push(values);
    texts.set(option.name, given);
  }
  return texts;
}

/** The option that a word names, unless it is one that yargs answers itself. */
function optionOf(word: string): AnyOption | undefined {
  const spelled = word.replace(/=.*$/s, '');
  const option = ALL_OPTIONS.find(({ name, short }) => spelled === `--${name}` || spelled === `-${short}`);
  return option === OPTIONS.help || option === OPTIONS.version ? undefined : option;
}

/** Takes the words that follow an option; undefined where their number is not clear. */
function takeValues(option: AnyOption, word: string, left: string[]): string[] | undefined {
  const at = word.indexOf('=');
  const mayBeAlone = option.kind === 'value' && option.isAttached === true;
  if (at !== -1)
    return option.kind === 'value' && (mayBeAlone || at < word.length - 1) ? [word.slice(at + 1)] : undefined;
  const following = left.findIndex((next) => next.startsWith('-'));
  const count = following === -1 ? left.length : following;
  if (option.kind === 'flag') return count === 0 ? [] : undefined;
  if (option.kind === 'tuple') return count === option.arguments.length ? left.splice(0, count) : undefined;
  if (count === 0) return option.bare === undefined ? undefined : [''];
  return count === 1 ? left.splice(0, 1) : undefined;
}
