/** Writes files that are not there yet, all of them or none. */
import { existsSync, writeFileSync } from 'node:fs';
import { UsageError } from '../config/usage-error.ts';

export interface NewFile {
  readonly path: string;
  readonly text: string;
  /** Rights; default: what the system gives. */
  readonly mode?: number;
}

/** Throws UsageError that names the files that are there. */
export function writeNewFiles(files: readonly NewFile[]): void {
  const there = files.filter(({ path }) => existsSync(path)).map(({ path }) => JSON.stringify(path));
  if (there.length > 0)
    throw new UsageError(`Nothing is written: there are ${there.join(', ')} already; move them away first`);
  for (const { path, text, mode } of files)
    writeFileSync(path, text, { flag: 'wx', ...(mode === undefined ? {} : { mode }) });
}
