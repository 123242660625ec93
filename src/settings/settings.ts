/**
 * The settings of the running process, in one object: compares what is wanted with what is, refuses by name what only a
 * restart changes, and tells whoever uses them.
 */
import { RestartNeededError, type SettingChange } from './restart-needed-error.ts';

/** What a reload does about a new value: it is applied, or it is refused because it needs a restart. */
export type AtReload = 'applied' | 'restart';

/** One of the values. */
export interface Setting<Values> {
  /** As programs name it: `limits.idleTimeoutMs`. */
  readonly name: string;
  /** The options that set it, as the command line names them; empty where none does. */
  readonly options: readonly string[];
  readonly atReload: AtReload;
  /** Its value never stands in a message. */
  readonly isSecret?: boolean;
  read(values: Values): unknown;
  /** For messages, in the words of its options. */
  show(value: unknown): string;
}

/** In the place of a secret. */
const SECRET = 'a secret';
/** A longer value is cut in messages (characters). */
const SHOWN_LENGTH_MAX = 200;

export class Settings<Values> {
  readonly #table: readonly Setting<Values>[];
  /** Parts of the process that live as long as it does. */
  readonly #subscribers: ((values: Values) => void)[] = [];
  #values: Values;

  /** `table`: what is compared; without it everything is applied, because somebody else has compared it. */
  constructor(values: Values, table: readonly Setting<Values>[] = []) {
    this.#values = values;
    this.#table = table;
  }

  get values(): Values {
    return this.#values;
  }

  /** `apply` hears of all later values, after those who have subscribed before. It must not fail: what may be wrong is found before. */
  subscribe(apply: (values: Values) => void): void {
    this.#subscribers.push(apply);
  }

  /** What would change; throws RestartNeededError that names everything that cannot. */
  check(next: Values): readonly SettingChange[] {
    const changed = this.#table.filter((setting) => !isSame(setting.read(this.#values), setting.read(next)));
    const changes = changed.map((setting) => describe(setting, this.#values, next));
    const refused = changes.filter((_, i) => changed[i]?.atReload === 'restart');
    if (refused.length > 0) throw new RestartNeededError(refused);
    return changes;
  }

  /** Goes over to other values, and says what has changed. Throws as `check` does, and then nothing has. */
  replace(next: Values): readonly SettingChange[] {
    const changes = this.check(next);
    this.#values = next;
    for (const apply of this.#subscribers) apply(next);
    return changes;
  }
}

function describe<Values>(setting: Setting<Values>, from: Values, to: Values): SettingChange {
  const { name, options } = setting;
  return { name, options, from: show(setting, from), to: show(setting, to) };
}

function show<Values>(setting: Setting<Values>, values: Values): string {
  const value = setting.read(values);
  if (value === undefined) return 'none';
  if (setting.isSecret === true) return SECRET;
  const text = setting.show(value);
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text;
}

/** Values are plain: numbers, texts, lists and objects of such. */
function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].every((name) =>
    isSame((one as Record<string, unknown>)[name], (other as Record<string, unknown>)[name]),
  );
}
