/** From the words of the command line to a checked Config, a text to show, or the lines that say what is wrong. */
import type { OptionTexts } from './answers.ts';
import { buildConfig } from './build-config.ts';
import { COMPLETION_QUERY, completeWords } from './complete-words.ts';
import type { Config } from './config.ts';
import { OPTIONS } from './options.ts';
import { readWords } from './read-words.ts';
import { UsageError } from './usage-error.ts';

export type ParseResult =
  | { readonly kind: 'run'; readonly texts: OptionTexts; readonly config: Config }
  /** A configuration file has to be read beside these texts, which nobody has checked. */
  | { readonly kind: 'file'; readonly texts: OptionTexts }
  /** For standard output, with its last line end; exit 0. */
  | { readonly kind: 'text'; readonly text: string }
  /** For standard error, a line for each fault, without a line end behind the last; exit 2. */
  | { readonly kind: 'usage-error'; readonly message: string };

export interface ParseSettings {
  /** Width of the help; default 80. */
  readonly columns?: number;
  /** Path of the user's shell, which decides the form of completions; default `$SHELL`. */
  readonly shell?: string;
}

const DEFAULT_COLUMNS = 80;

/** Reads `words` (process.argv without its first two); does not look at the file system and never ends the process. */
export function parseCommandLine(words: readonly string[], settings: ParseSettings = {}): ParseResult {
  if (words[0] === COMPLETION_QUERY)
    return textResult(completeWords(words.slice(1), settings.shell ?? process.env['SHELL'] ?? '').join('\n'));
  try {
    const given = readWords(words, settings.columns ?? DEFAULT_COLUMNS);
    if (given.output !== undefined) return textResult(given.output);
    const { texts } = given;
    if (texts.has(OPTIONS.config.name)) return { kind: 'file', texts };
    return { kind: 'run', texts, config: buildConfig(texts) };
  } catch (error) {
    if (error instanceof UsageError) return { kind: 'usage-error', message: error.message };
    throw error;
  }
}

function textResult(text: string): ParseResult {
  return { kind: 'text', text: text === '' || text.endsWith('\n') ? text : `${text}\n` };
}
