/** Gathers the fields of a multipart form in a table, part by part; files are passed over. */
import type { GatewayError } from '../base/errors.ts';
import { beyondLimit } from '../forms/form-errors.ts';
import type { MultipartReader, Part } from '../forms/multipart-reader.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { bytesNeeded, type WantedWhole, wantSize } from '../script/objects/byte-transfer.ts';
import { setOrAppend } from './set-or-append.ts';

/** To read a part and set its value (10 µs). */
const UNITS_PER_PART = 2000;

/** The table stands on the stack below what is read for it, which stays there between steps. */
export class FieldCollection {
  readonly #script: ScriptContext;
  readonly #reader: MultipartReader;
  readonly #bytesMax: number;
  #bytesLeft: number;
  #part: Part | undefined;
  #wanted: WantedWhole | undefined;
  /** Why the last step was the last for now: all is read, something is wrong, or the next bytes have not arrived. */
  outcome: 'end' | 'more' | GatewayError = 'more';

  /** `bytesMax`: of all names and values. */
  constructor(script: ScriptContext, reader: MultipartReader, bytesMax: number) {
    this.#script = script;
    this.#reader = reader;
    this.#bytesMax = bytesMax;
    this.#bytesLeft = bytesMax;
  }

  /** Reads a part; true: `outcome` says what to do. */
  step(L: LuaThread): boolean {
    const outcome = this.#part === undefined ? this.#begin(L) : this.#read(L);
    if (outcome === undefined) return false;
    this.outcome = outcome;
    return true;
  }

  whenMore(ready: () => void): void {
    if (this.#part === undefined || this.#wanted === undefined) this.#reader.whenMore(ready);
    else this.#part.body.request(bytesNeeded(this.#part.body, this.#wanted), ready);
  }

  cancelMore(ready: () => void): void {
    if (this.#part === undefined) this.#reader.cancelMore(ready);
    else this.#part.body.cancelRequest(ready);
  }

  #begin(L: LuaThread): 'end' | 'more' | GatewayError | undefined {
    const { state, scheduler } = this.#script;
    const part = this.#reader.advance();
    if (part === 'end' || part === 'more' || part instanceof Error) return part;
    scheduler.guard.pay(UNITS_PER_PART);
    if (part.filename !== undefined) return undefined;
    this.#bytesLeft -= part.name.length;
    if (this.#bytesLeft < 0) return this.#tooLarge();
    state.pushString(L, part.name);
    this.#part = part;
    // one more shows that there is more
    this.#wanted = wantSize(this.#bytesLeft + 1);
    return this.#read(L);
  }

  #read(L: LuaThread): 'more' | GatewayError | undefined {
    const { state, transfer } = this.#script;
    const { exports: x } = state;
    const { body } = this.#part as Part;
    const taken = transfer.tryTake(L, body, this.#wanted as WantedWhole);
    if (taken === false) return 'more';
    if (taken !== true) return taken;
    if (body.error !== undefined) return body.error;
    if (x.lua_type(L, -1) === LUA_TYPE.nil) {
      state.pop(L);
      state.pushString(L, '');
    }
    this.#bytesLeft -= Number(x.lua_rawlen(L, -1));
    if (this.#bytesLeft < 0) return this.#tooLarge();
    setOrAppend(state, L);
    this.#part = undefined;
    return undefined;
  }

  #tooLarge(): GatewayError {
    return beyondLimit(`its fields have more bytes than the limit of ${this.#bytesMax} ("size")`);
  }
}
