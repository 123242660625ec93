/** What host functions throw to raise an error in the calling Lua code. */

export class LuaError extends Error {
  override readonly name = 'LuaError';
  /** Stack level whose position is put before the message, as in Lua's `error`; 0 = none. */
  readonly level: number;

  constructor(message: string, level = 1) {
    super(message);
    this.level = level;
  }
}

/** A host function thrown out of Lua by longjmp: emscripten throws a number for it. It has to pass unchanged. */
export function isLongjmp(thrown: unknown): boolean {
  return typeof thrown === 'number';
}
