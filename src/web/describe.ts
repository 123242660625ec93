/** Words for a value that is not what was expected, or for whatever was thrown. */

/** What kind of value it is: `undefined`, `a string`, `an object of class "Object"`. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== 'object') return `a ${typeof value}`;
  const name: unknown = value.constructor?.name;
  return `an object of class ${JSON.stringify(typeof name === 'string' && name !== '' ? name : 'Object')}`;
}

/** What a handler has thrown, for the log: the stack of an error, a text, or the kind of anything else. */
export function describeThrown(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.stack ?? thrown.message;
  // an object may have no way to become a text
  return typeof thrown === 'object' && thrown !== null ? `it threw ${describe(thrown)}` : String(thrown);
}
