/** Lets yargs read the words of the command line by the option table, with its conveniences switched off. */
import yargs from 'yargs';
import { packageVersion } from '../base/package-info.ts';
import type { OptionTexts } from './answers.ts';
import { isScriptWord } from './mappings.ts';
import { type AnyOption, argumentsOf, nameOption, OPTION_GROUPS } from './option.ts';
import { ALL_OPTIONS, OPTIONS } from './options.ts';
import { splitShortOptions } from './split-short-options.ts';
import { SUBCOMMANDS } from './subcommand-names.ts';
import { quote, UsageError } from './usage-error.ts';

declare module 'yargs' {
  // missing in @types/yargs
  interface Argv<T> {
    usageConfiguration(configuration: { readonly 'hide-types': boolean }): this;
  }
}

export const PROGRAM = 'lgateway';
export const COMPLETION_COMMAND = 'completion';
/** Where yargs keeps the words that belong to no option. */
const POSITIONALS = '_';

/** yargs' own ideas of what a word could mean as well; here a word means one thing. */
const PLAIN_PARSING = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'duplicate-arguments-array': true,
  'flatten-duplicate-arrays': false,
  'greedy-arrays': true,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'strip-aliased': true,
} as const;

const EXAMPLES: readonly (readonly [command: string, meaning: string])[] = [
  ['$0', 'the ready-made handlers at https://localhost:8443/'],
  ['$0 app.lua', 'one script, under /'],
  ['$0 -c cert.pem -k key.pem -l /app app.lua', 'one script under /app, with a certificate'],
  ['$0 -l / site.lua -l /api api.lua -r /srv/www', 'two scripts, files below /srv/www'],
  ['$0 -D -p 443 -u www-data --access-log', 'in the background, as user www-data'],
  [`$0 ${COMPLETION_COMMAND} >> ~/.bashrc`, 'completion of options in bash'],
];

/** The words that were given: text, not yet checked. */
export interface GivenWords {
  /** For each option that was given, by its long name: the texts that followed it, each time it was given. */
  readonly texts: OptionTexts;
  /** Help, version or the completion script, when it was asked for; undefined otherwise. */
  readonly output: string | undefined;
}

/** Throws UsageError for an unknown option, a flag with a value, and words that belong to no option. */
export function readWords(words: readonly string[], columns: number): GivenWords {
  const apart = splitShortOptions(words, ALL_OPTIONS);
  const failures: Error[] = [];
  let output = '';
  const given: Readonly<Record<string, unknown>> = describeOptions(columns).parseSync(
    apart,
    {},
    (error: Error | undefined | null, _arguments: unknown, text: string) => {
      if (error) failures.push(error);
      output = text;
    },
  );
  if (given[OPTIONS.help.name] === true) return { texts: new Map(), output };
  checkOptionWords(apart);
  if (failures[0] !== undefined) throw new UsageError(failures[0].message);
  const strays = listOf(given[POSITIONALS]);
  if (strays[0] === COMPLETION_COMMAND) strays.shift();
  const texts = collectTexts(given);
  const [stray] = strays;
  if (stray !== undefined) {
    const script = strays.length === 1 && isScriptWord(stray) && !texts.has(OPTIONS.script.name);
    if (!script) throw new UsageError(describeStray(stray, strays.length));
    texts.set(OPTIONS.script.name, [[stray]]);
  }
  return { texts, output: output === '' ? undefined : output };
}

function describeStray(stray: string, count: number): string {
  if (isScriptWord(stray))
    return `The word ${quote(stray)} is a script beside another one, and only one can be without a prefix; -l PREFIX SCRIPT serves each of several`;
  const hint =
    /[./]/.test(stray) && count === 1 ? '; a script alone ends in .lua, and -l PREFIX SCRIPT serves any' : '';
  return `The word ${quote(stray)} belongs to no option${hint}`;
}

function describeOptions(columns: number): ReturnType<typeof yargs> {
  const { help, version } = OPTIONS;
  const parser = yargs()
    .scriptName(PROGRAM)
    .usage(
      '$0 [SCRIPT | -l PREFIX SCRIPT...] [OPTION]...\n\nServes Lua scripts over TLS, HTTP/2 and HTTP/1.1.',
    )
    .parserConfiguration(PLAIN_PARSING)
    .usageConfiguration({ 'hide-types': true })
    .locale('en')
    .detectLocale(false)
    .exitProcess(false)
    .wrap(columns)
    .help(help.name, help.help)
    .alias(help.name, help.short ?? [])
    .version(version.name, version.help, `${PROGRAM} ${packageVersion()}`)
    .completion(COMPLETION_COMMAND, 'print a script for bash, zsh or fish, by $SHELL, that completes options')
    .epilogue(
      `Other commands, each with --help:\n${SUBCOMMANDS.map(({ name, help }) => `  ${PROGRAM} ${name}: ${help}`).join('\n')}`,
    )
    .example(EXAMPLES.map(([command, meaning]) => [command, meaning]));
  for (const option of ALL_OPTIONS) {
    if (option === help || option === version) continue;
    parser.option(option.name, {
      ...(option.short === undefined ? {} : { alias: option.short }),
      ...(option.kind === 'flag' ? { type: 'boolean', nargs: 0 } : { string: true }),
      array: option.kind === 'tuple',
      describe: describe(option),
    });
  }
  for (const group of OPTION_GROUPS)
    parser.group(
      ALL_OPTIONS.filter((option) => option.group === group).map((option) => option.name),
      `${group}:`,
    );
  return parser;
}

function describe(option: AnyOption): string {
  const start = argumentsOf(option) === '' ? '' : `${argumentsOf(option)}: `;
  const shownDefault = option.kind === 'value' ? option.defaultText : undefined;
  return `${start}${option.help}${shownDefault === undefined ? '' : ` (default: ${shownDefault})`}`;
}

/** yargs keeps unknown options as further answers, and takes `--daemon=no` for a yes. */
function checkOptionWords(words: readonly string[]): void {
  const end = words.indexOf('--');
  for (const word of end === -1 ? words : words.slice(0, end)) {
    // no value begins with a dash, except a number, which the option's own rule refuses
    if (!/^-\D/.test(word)) continue;
    const spelled = word.replace(/=.*$/s, '');
    const option = ALL_OPTIONS.find(({ name, short }) => spelled === `--${name}` || spelled === `-${short}`);
    if (option === undefined) throw new UsageError(`There is no option ${quote(spelled)}; --help lists all`);
    if (option.kind === 'flag' && spelled !== word)
      throw new UsageError(`Option ${nameOption(option)} takes no value, not ${quote(word)}`);
  }
}

/** Brings what yargs found (a text, a list, or a list of lists) into one shape. */
function collectTexts(given: Readonly<Record<string, unknown>>): Map<string, string[][]> {
  const texts = new Map<string, string[][]>();
  for (const option of ALL_OPTIONS) {
    const found = given[option.name];
    if (found === undefined || found === false) continue;
    if (option.kind === 'flag') texts.set(option.name, [[]]);
    else if (option.kind === 'value')
      texts.set(
        option.name,
        listOf(found).map((text) => [text]),
      );
    else if (Array.isArray(found) && Array.isArray(found[0])) texts.set(option.name, found.map(listOf));
    else texts.set(option.name, [listOf(found)]);
  }
  return texts;
}

function listOf(found: unknown): string[] {
  return Array.isArray(found) ? found.map(String) : [String(found)];
}
