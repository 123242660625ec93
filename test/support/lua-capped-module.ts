/** Compiles the Lua VM with a memory that cannot grow past a limit, so that scripts run out of it in a test. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const PAGE_BYTES = 64 * 1024;
const MAGIC_BYTES = 8;
const MEMORY_SECTION = 5;
const HAS_MAXIMUM = 1;

/** `bytesMax` is rounded up to pages; the VM starts with 16 MiB. */
export function compileCappedModule(bytesMax: number): Promise<WebAssembly.Module> {
  const glue = dirname(createRequire(import.meta.url).resolve('wasmoon'));
  const bytes = readFileSync(join(glue, 'glue.wasm'));
  let at = MAGIC_BYTES;
  while (at < bytes.length) {
    const id = bytes[at] as number;
    const [size, body] = readLeb(bytes, at + 1);
    if (id === MEMORY_SECTION) {
      // one memory: flags, minimum, maximum
      const [, minimumAt] = readLeb(bytes, body + 1);
      const [minimum] = readLeb(bytes, minimumAt);
      if (bytes[body + 1] !== HAS_MAXIMUM) throw new Error('The memory has no maximum');
      const content = [
        1,
        HAS_MAXIMUM,
        ...leb(minimum),
        ...leb(Math.max(minimum, Math.ceil(bytesMax / PAGE_BYTES))),
      ];
      return WebAssembly.compile(
        Buffer.concat([
          bytes.subarray(0, at + 1),
          Buffer.from([...leb(content.length), ...content]),
          bytes.subarray(body + size),
        ]),
      );
    }
    at = body + size;
  }
  throw new Error('The module has no memory section');
}

/** The number at `at` and where it ends. */
function readLeb(bytes: Uint8Array, at: number): [value: number, end: number] {
  let value = 0;
  let shift = 0;
  let end = at;
  for (;;) {
    const byte = bytes[end] as number;
    value |= (byte & 0x7f) << shift;
    shift += 7;
    end += 1;
    if (byte < 0x80) return [value, end];
  }
}

function leb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return bytes;
}
