/** Reads Lua source through the file system, so that scripts lie inside the root as everything else. */
import { FileError } from '../file/file-error.ts';
import type { FileSystem } from '../file/file-system.ts';
import { ScriptError } from '../lua/state.ts';

/** A script is text that people write; what is longer was not meant. */
const SOURCE_BYTES_MAX = 16 * 1024 * 1024;
const LF = 10;
const HASH = 35;
/** What a precompiled chunk begins with. */
const ESCAPE = 27;

/** Under a root an absolute name of the command line starts there, as it did when lhttpd had changed its root. */
export function nameInside({ root }: FileSystem, name: string): string {
  return root === undefined ? name : name.replace(/^\/+/, './');
}

/** The source without byte order mark and without a first line that starts with `#`; throws ScriptError. */
export function readScript(fileSystem: FileSystem, name: string): Uint8Array {
  try {
    const file = fileSystem.openSync(name, 'r');
    try {
      const failure = file.fillSync(SOURCE_BYTES_MAX + 1) ?? file.takeError();
      if (failure !== undefined) throw new ScriptError(`cannot read ${name}: ${failure.text}`);
      if (file.queue.length > SOURCE_BYTES_MAX) {
        throw new ScriptError(
          `cannot read ${name}: it is longer than the limit of ${SOURCE_BYTES_MAX} bytes`,
        );
      }
      return withoutPreamble(file.queue.take(file.queue.length));
    } finally {
      file.destroy();
    }
  } catch (error) {
    if (error instanceof FileError) throw new ScriptError(`cannot open ${name}: ${error.text}`);
    throw error;
  }
}

/** Without byte order mark and a first line that starts with `#`, as luaL_loadfile: the line feed of a skipped first line stays, so that line numbers hold. */
export function withoutPreamble(source: Uint8Array): Uint8Array {
  const start = source[0] === 0xef && source[1] === 0xbb && source[2] === 0xbf ? 3 : 0;
  if (source[start] !== HASH) return source.subarray(start);
  const end = source.indexOf(LF, start);
  if (end === -1) return new Uint8Array(0);
  return source.subarray(source[end + 1] === ESCAPE ? end + 1 : end);
}
