/**
 * Finds where the keys of a TOML text stand, which its parser does not tell. The text has to be well-formed: the parser has read it
 * before.
 */

/** The way to a value: names of keys, and numbers in lists of tables or values. */
export type KeyPath = readonly (string | number)[];

interface LineAndColumn {
  readonly line: number;
  readonly column: number;
}

/** `TomlError` of the parser counts columns alike. */
export class KeyPositions {
  readonly #offsets = new Map<string, number>();
  readonly #lineStarts: readonly number[];

  constructor(text: string) {
    const starts = [0];
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
    this.#lineStarts = starts;
    new Scanner(text, (path, offset) => {
      const name = JSON.stringify(path);
      if (!this.#offsets.has(name)) this.#offsets.set(name, offset);
    }).scan();
  }

  /** How many keys, tables and entries of lists there are. */
  get count(): number {
    return this.#offsets.size;
  }

  /** Both from 1; that of the table around a key that is not there, and at last the begin of the text. */
  find(path: KeyPath): LineAndColumn {
    for (let length = path.length; length > 0; length--) {
      const offset = this.#offsets.get(JSON.stringify(path.slice(0, length)));
      if (offset !== undefined) return this.#placeOf(offset);
    }
    return { line: 1, column: 1 };
  }

  #placeOf(offset: number): LineAndColumn {
    let [low, high] = [0, this.#lineStarts.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#lineStarts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (this.#lineStarts[low] ?? 0) + 1 };
  }
}

const BARE_KEY = /[A-Za-z0-9_-]+/y;
const BLANK = /[ \t]*/y;
/** Blanks, line ends and comments. */
const GAP = /(?:[ \t\r\n]|#[^\n]*)*/y;
const STRING = /"""(?:\\[\s\S]|(?!""")[^\\])*"{3,5}|'''(?:(?!''')[\s\S])*'{3,5}|"(?:\\.|[^"\\])*"|'[^']*'/y;
/** A number, a date or a boolean. */
const BARE_VALUE = /[^,\]}#\r\n]*/y;

class Scanner {
  readonly #text: string;
  readonly #found: (path: KeyPath, offset: number) => void;
  /** By the path of a list of tables: how many it has so far. */
  readonly #counts = new Map<string, number>();
  #at = 0;

  constructor(text: string, found: (path: KeyPath, offset: number) => void) {
    this.#text = text;
    this.#found = found;
  }

  scan(): void {
    let table: KeyPath = [];
    for (this.#take(GAP); this.#at < this.#text.length; this.#take(GAP)) {
      const before = this.#at;
      if (this.#text.startsWith('[[', this.#at)) table = this.#header(2);
      else if (this.#text[this.#at] === '[') table = this.#header(1);
      else this.#assignment(table);
      // a text that is not well-formed must not hold us
      if (this.#at === before) this.#at += 1;
    }
  }

  #header(brackets: 1 | 2): KeyPath {
    this.#at += brackets;
    const keys = this.#dottedKey();
    this.#at += brackets;
    let path: (string | number)[] = [];
    for (const [i, { name, offset }] of keys.entries()) {
      path = [...path, name];
      this.#found(path, offset);
      const list = JSON.stringify(path);
      const isNew = brackets === 2 && i === keys.length - 1;
      const count = (this.#counts.get(list) ?? 0) + (isNew ? 1 : 0);
      if (count === 0) continue;
      this.#counts.set(list, count);
      path = [...path, count - 1];
      this.#found(path, offset);
    }
    return path;
  }

  #assignment(table: KeyPath): void {
    let path = table;
    for (const { name, offset } of this.#dottedKey()) {
      path = [...path, name];
      this.#found(path, offset);
    }
    // the =
    this.#at += 1;
    this.#value(path);
  }

  #dottedKey(): { readonly name: string; readonly offset: number }[] {
    const keys: { name: string; offset: number }[] = [];
    for (;;) {
      this.#take(BLANK);
      const offset = this.#at;
      const quoted = this.#take(STRING);
      keys.push({ name: quoted === '' ? this.#take(BARE_KEY) : unquote(quoted), offset });
      this.#take(BLANK);
      if (this.#text[this.#at] !== '.') return keys;
      this.#at += 1;
    }
  }

  #value(path: KeyPath): void {
    this.#take(GAP);
    const first = this.#text[this.#at];
    if (first === '[' || first === '{') this.#entries(path, first === '{' ? '}' : ']');
    else if (this.#take(STRING) === '') this.#take(BARE_VALUE);
  }

  /** A list, or a table within a line. */
  #entries(path: KeyPath, end: ']' | '}'): void {
    this.#at += 1;
    for (let i = 0; this.#at < this.#text.length; i++) {
      this.#take(GAP);
      if (this.#text[this.#at] === end) break;
      if (end === '}') this.#assignment(path);
      else {
        this.#found([...path, i], this.#at);
        this.#value([...path, i]);
      }
      this.#take(GAP);
      if (this.#text[this.#at] === ',') this.#at += 1;
      else if (this.#text[this.#at] !== end) break;
    }
    this.#at += 1;
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  b: '\b',
  t: '\t',
  n: '\n',
  f: '\f',
  r: '\r',
  e: '\x1b',
};

/** A key is in one line. */
function unquote(text: string): string {
  const inner = text.slice(1, -1);
  if (text.startsWith("'")) return inner;
  return inner.replace(
    /\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|(.))/gs,
    (_, short?: string, long?: string, byte?: string, letter?: string) => {
      const code = short ?? long ?? byte;
      if (code !== undefined) return String.fromCodePoint(Number.parseInt(code, 16));
      return ESCAPES[letter ?? ''] ?? letter ?? '';
    },
  );
}
