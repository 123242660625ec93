/** Compiles chunks from files and checks which kinds of chunk are allowed: text, and bytecode where it may be. */
import type { FileSystem } from '../file/file-system.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { type ChunkMode, ScriptError, type State } from '../lua/state.ts';
import { readScript } from './script-file.ts';

const ESCAPE = 27;

/** What is said of a binary chunk where its mode would be right. */
export const BYTECODE_REFUSED =
  'attempt to load a binary chunk: without --allow-bytecode only a string that string.dump has returned in this state can be loaded';

export class ChunkLoader {
  readonly #state: State;
  readonly #fileSystem: FileSystem;
  readonly allowsBytecode: boolean;

  constructor(state: State, fileSystem: FileSystem, allowsBytecode: boolean) {
    this.#state = state;
    this.#fileSystem = fileSystem;
    this.allowsBytecode = allowsBytecode;
  }

  /** Pushes the compiled file; throws ScriptError with Lua's message. `mode` as in loadfile; `shown`: its name there. */
  loadFile(L: LuaThread, name: string, mode = 'bt', shown: string = name): void {
    const source = readScript(this.#fileSystem, name);
    const isBinary = isBinaryChunk(source);
    if (!mode.includes(isBinary ? 'b' : 't')) throw refusal(isBinary, mode);
    if (isBinary && !this.allowsBytecode) throw new ScriptError(BYTECODE_REFUSED);
    this.#state.load(L, source, `@${shown}`, this.allowed(mode));
  }

  /** The part of a mode of `load` that means something and is allowed; may be empty. */
  allowed(mode: string): ChunkMode {
    const binary = this.allowsBytecode && mode.includes('b');
    if (mode.includes('t')) return binary ? 'bt' : 't';
    return binary ? 'b' : '';
  }
}

/** True for the first bytes of a chunk that Lua takes for a binary one. */
export function isBinaryChunk(bytes: Uint8Array): boolean {
  return bytes[0] === ESCAPE;
}

function refusal(isBinary: boolean, mode: string): ScriptError {
  return new ScriptError(`attempt to load a ${isBinary ? 'binary' : 'text'} chunk (mode is '${mode}')`);
}
