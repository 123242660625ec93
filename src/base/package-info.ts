/** Where the installed package lies and which version it is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of package.json, with a trailing separator; this file is compiled to `dist/src/base/`. */
export const PACKAGE_ROOT: string = fileURLToPath(new URL('../../../', import.meta.url));

/** Read once, when this is loaded: later descriptors may be used up, and who asks for the version must not fail for it. */
const version = readVersion();

/** The version in package.json. */
export function packageVersion(): string {
  return version;
}

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8'));
  if (typeof manifest !== 'object' || manifest === null || !('version' in manifest)) return 'unknown';
  return String(manifest.version);
}
