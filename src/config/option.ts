/** The three kinds of command-line options, and how messages, help and completion write them. */
import type { ValueParser } from './value-parsers.ts';

export const OPTION_GROUPS = [
  'Scripts',
  'Folders',
  'Proxy',
  'TLS',
  'Network',
  'Compression',
  'Process',
  'Log',
  'Limits',
  'Help',
] as const;
export type OptionGroup = (typeof OPTION_GROUPS)[number];

interface OptionBase {
  /** Long name, without dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  readonly group: OptionGroup;
  readonly help: string;
  /** It says how the command is run, and stands in no configuration file and in no variable of the environment. */
  readonly commandLineOnly?: true;
}

/** Given or not; takes no value. */
export interface FlagOption extends OptionBase {
  readonly kind: 'flag';
}

/** Takes one value, at most once on a command line. */
export interface ValueOption<T> extends OptionBase {
  readonly kind: 'value';
  /** What the value is called in the help. */
  readonly argument: string;
  readonly value: ValueParser<T>;
  /** The value when the option stands without one; undefined = it may not. */
  readonly bare?: T;
  /** A value stands behind `=` only: the next word is something else. Goes with `bare`. */
  readonly isAttached?: true;
  /** Completion offers file names. */
  readonly isFile?: boolean;
  /** May be given many times, each time with one value. */
  readonly repeats?: true;
  /** The default as the help shows it. */
  readonly defaultText?: string;
}

/** A value option that always has a value. */
export interface DefaultedOption<T> extends ValueOption<T> {
  readonly default: T;
}

/** Takes a fixed number of values, and any number of times. */
export interface TupleOption extends OptionBase {
  readonly kind: 'tuple';
  readonly arguments: readonly string[];
}

export type AnyOption = FlagOption | TupleOption | ValueOption<unknown>;

/** Completes a row whose value has a default with the text that shows it. */
export function defaulted<T>(row: Omit<DefaultedOption<T>, 'kind'>): DefaultedOption<T> {
  return { kind: 'value', defaultText: row.value.show(row.default), ...row };
}

/** How messages name an option: `-p (--port)`, `--http`. */
export function nameOption(option: Pick<OptionBase, 'name' | 'short'>): string {
  return option.short === undefined ? `--${option.name}` : `-${option.short} (--${option.name})`;
}

/** What stands behind the option's name on a command line: `PORT`, `PREFIX SCRIPT`, nothing for a flag. */
export function argumentsOf(
  option: FlagOption | TupleOption | Pick<ValueOption<unknown>, 'kind' | 'argument'>,
): string {
  if (option.kind === 'flag') return '';
  return option.kind === 'tuple' ? option.arguments.join(' ') : option.argument;
}
