/** What was given for each option, on the command line or elsewhere, read by the option's own rule. What is wrong is gathered. */
import { type DefaultedOption, nameOption, type TupleOption, type ValueOption } from './option.ts';
import { type Faults, type Position, quote, showPosition } from './usage-error.ts';

/** The texts of one command line: for each option that was given, by its long name, what followed it each time. */
export type OptionTexts = ReadonlyMap<string, readonly (readonly string[])[]>;

/** Where the texts of an option come from, when that is not the command line. */
export interface Origin {
  /** As messages begin with it: `Key "port"`. */
  readonly named: string;
  /** In the file; undefined = not from a file. */
  readonly at?: Position;
  /** The value as the file has it, where that is no text. */
  readonly shown?: string;
}

/** By the long name of the option. */
export type Origins = ReadonlyMap<string, Origin>;

type NamedOption = Parameters<typeof nameOption>[0];

export class Answers {
  readonly #texts: OptionTexts;
  readonly #origins: Origins;
  readonly #faults: Faults;
  /** What was read: an option that is asked for twice is wrong once. */
  readonly #read = new Map<string, unknown>();

  constructor(texts: OptionTexts, origins: Origins, faults: Faults) {
    this.#texts = texts;
    this.#origins = origins;
    this.#faults = faults;
  }

  has(option: NamedOption): boolean {
    return this.#texts.has(option.name);
  }

  /** How often it was given. */
  count(option: NamedOption): number {
    return this.#texts.get(option.name)?.length ?? 0;
  }

  /** How messages name what was given: `Option -p (--port)`, `Key "port"`, `Variable LGATEWAY_PORT`. */
  named(option: NamedOption): string {
    return this.#origins.get(option.name)?.named ?? `Option ${nameOption(option)}`;
  }

  /** Two of them. */
  namedBoth(one: NamedOption, other: NamedOption): string {
    if (!this.#origins.has(one.name) && !this.#origins.has(other.name))
      return `Options ${nameOption(one)} and ${nameOption(other)}`;
    const second = this.named(other);
    return `${this.named(one)} and ${second[0]?.toLowerCase()}${second.slice(1)}`;
  }

  at(option: NamedOption): Position | undefined {
    return this.#origins.get(option.name)?.at;
  }

  /** Keeps a fault of one option. */
  fault(option: NamedOption, rest: string): void {
    this.#faults.add(`${this.named(option)} ${rest}`, this.at(option));
  }

  /** Keeps a fault of a table of the file, whose keys have no option. */
  faultAt(message: string, at: Position): void {
    this.#faults.add(message, at);
  }

  /** Keeps a fault of two options that do not go together, at the later place of the two in the file, with the other one named. */
  faultOfBoth(one: NamedOption, other: NamedOption, rest: string): void {
    const places = [this.at(one), this.at(other)].flatMap((at) => at ?? []);
    places.sort((a, b) => a.line - b.line || a.column - b.column);
    const [first, last] = places;
    const hint = first === undefined || last === undefined ? '' : ` (the other one: ${showPosition(first)})`;
    this.#faults.add(`${this.namedBoth(one, other)} ${rest}${hint}`, last ?? first);
  }

  value<T>(option: ValueOption<T>): T | undefined {
    if (!this.#read.has(option.name)) this.#read.set(option.name, this.#readOnce(option));
    return this.#read.get(option.name) as T | undefined;
  }

  #readOnce<T>(option: ValueOption<T>): T | undefined {
    const [texts, ...more] = this.#texts.get(option.name) ?? [];
    if (texts === undefined) return undefined;
    if (more.length > 0) {
      this.fault(option, `is given ${more.length + 1} times and counts once`);
      return undefined;
    }
    return this.#readText(option, texts[0] ?? '');
  }

  /** Of an option that repeats. */
  values<T>(option: ValueOption<T>): readonly T[] {
    return (this.#texts.get(option.name) ?? []).flatMap(([text = '']) => {
      const value = this.#readText(option, text);
      return value === undefined ? [] : [value];
    });
  }

  #readText<T>(option: ValueOption<T>, text: string): T | undefined {
    if (text === '' && option.bare !== undefined) return option.bare;
    const value = option.value.read(text);
    if (value !== undefined) return value;
    const found =
      text === ''
        ? ', and nothing follows it'
        : option.value.isSecret === true
          ? '; the value is not shown, as it may hold a password'
          : `, not ${this.#origins.get(option.name)?.shown ?? quote(text)}`;
    this.fault(option, `wants ${option.value.wants}${found}`);
    return undefined;
  }

  valueOrDefault<T>(option: DefaultedOption<T>): T {
    return this.value(option) ?? option.default;
  }

  /** Those that have as many values as they should. */
  tuples(option: TupleOption): readonly (readonly string[])[] {
    const tuples = this.#texts.get(option.name) ?? [];
    const wrong = tuples.find((tuple) => tuple.length !== option.arguments.length);
    if (wrong === undefined) return tuples;
    const found = wrong.length === 0 ? 'nothing follows it' : `got ${wrong.map(quote).join(' ')}`;
    const names = option.arguments.join(' ');
    const wanted = option.arguments.length === 1 ? names : `${option.arguments.length} values, ${names},`;
    this.fault(option, `wants ${wanted} and ${found}`);
    return tuples.filter((tuple) => tuple.length === option.arguments.length);
  }
}
