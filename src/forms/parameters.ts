/**
 * Takes apart a value with parameters, `form-data; name="a"`, of Content-Type (RFC 9110 §8.3.1) and Content-Disposition
 * (RFC 7578 §4.2). Whatever two readers could understand in two ways is refused.
 */

/** A value in lower case, and its parameters by their names in lower case. */
export interface ParameterizedValue {
  readonly value: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const VALUE = /^[ \t]*([^ \t\r\n;,"]+)[ \t]*/;
const NAME = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=/y;
/** Without quotes more than a token stands for a value here and there (`boundary=----=_Part_1`), but never what could end it. */
const BARE = /[^ \t\r\n;,"\\]+/y;
const QUOTED = /"((?:[^"\\\r\n]|\\[^\r\n])*)"/y;
const BLANKS = /[ \t]*/y;

/** Undefined: it is not well-formed, or a parameter comes twice. */
export function parseParameters(text: string): ParameterizedValue | undefined {
  const first = VALUE.exec(text);
  if (first === null) return undefined;
  const parameters = new Map<string, string>();
  let at = first[0].length;
  const match = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text) ?? undefined;
    if (found !== undefined) at += found[0].length;
    return found;
  };
  while (at < text.length) {
    if (text[at] !== ';') return undefined;
    at += 1;
    match(BLANKS);
    // an empty parameter, as a semicolon at the end makes one
    if (at === text.length || text[at] === ';') continue;
    const name = match(NAME)?.[1]?.toLowerCase();
    if (name === undefined || parameters.has(name)) return undefined;
    const quoted = match(QUOTED);
    const value = quoted === undefined ? match(BARE)?.[0] : unquote(quoted[1] as string);
    if (value === undefined) return undefined;
    parameters.set(name, value);
    match(BLANKS);
  }
  return { value: (first[1] as string).toLowerCase(), parameters };
}

/**
 * Only a quotation mark and a backslash lose the backslash before them: browsers send a backslash of a name as it is, and write
 * `%22` for a quotation mark, which stays (https://html.spec.whatwg.org/#multipart-form-data).
 */
function unquote(text: string): string {
  return text.replace(/\\(["\\])/g, '$1');
}
