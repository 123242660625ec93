/** The head of a part of a form: its fields, and what Content-Disposition says of it (RFC 7578 §4.2, RFC 2046 §5.1). */
import type { GatewayError } from '../base/errors.ts';
import { isBlank, trimBlanks } from '../http/semantics/fields.ts';
import { malformed, quote } from './form-errors.ts';
import { parseParameters } from './parameters.ts';

/** Texts are byte strings (latin1), as the client has sent them. */
export interface PartHead {
  readonly name: string;
  /** Undefined: the part is a field and no file. May hold folders: no name for a file of ours. */
  readonly filename: string | undefined;
  readonly type: string;
  /** Names in lower case and values in turns. */
  readonly fields: readonly string[];
}

/** What a part without Content-Type is (RFC 7578 §4.4). */
const DEFAULT_TYPE = 'text/plain';

const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):(.*)$/s;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** These say what the part is: with two of them it would be two things. */
const SINGLE: ReadonlySet<string> = new Set(['content-disposition', 'content-type']);

/** Reads the lines of a head, without their ends and the blank line behind them. */
export function parsePartHead(lines: readonly string[]): PartHead | GatewayError {
  const fields: string[] = [];
  const found = new Map<string, string>();
  for (const line of lines) {
    // a line that begins with a blank goes on with the one before it (RFC 5322 §2.2.3)
    const isFolded = fields.length > 0 && isBlank(line.charCodeAt(0));
    const [, name, value] = isFolded ? ['', fields.at(-2), line] : (FIELD.exec(line) ?? []);
    if (name === undefined || value === undefined || !VALUE.test(value))
      return malformed(`a part has the line ${quote(line)}, which is no field`);
    const text = trimBlanks(value);
    const lowerName = name.toLowerCase();
    if (isFolded) fields[fields.length - 1] += ` ${text}`;
    else {
      if (SINGLE.has(lowerName) && found.has(lowerName)) return malformed(`a part has two ${lowerName}`);
      fields.push(lowerName, text);
    }
    found.set(lowerName, fields.at(-1) as string);
  }
  const disposition = found.get('content-disposition');
  const parsed = disposition === undefined ? undefined : parseParameters(disposition);
  const name = parsed?.parameters.get('name');
  if (parsed?.value !== 'form-data' || name === undefined)
    return malformed(
      disposition === undefined
        ? 'a part has no content-disposition'
        : `a part has the content-disposition ${quote(disposition)}, which is no form-data with a name`,
    );
  return {
    name,
    filename: parsed.parameters.get('filename'),
    type: found.get('content-type') || DEFAULT_TYPE,
    fields,
  };
}
