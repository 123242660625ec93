/** The Lua code that comes with the package: it lies in `.lua` files beside the TypeScript that uses it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../base/package-info.ts';

const SOURCE = join(PACKAGE_ROOT, 'src');

/**
 * The text of a file below `src/`, which is part of the npm package. Called where a module is loaded, so that what runs
 * stays of one version while somebody installs another.
 */
export function readLuaSource(file: string): Buffer {
  return readFileSync(join(SOURCE, file));
}
