/**
 * Runs the test files of a group one after the other in this process, each as a suite that has the file's name. What a file
 * leaves undone fails the group: an exit before the last file, an error after the end of a test, something that stays open.
 */
import { after, describe } from 'node:test';
import { pathToFileURL } from 'node:url';
import { endFile } from './leftovers.ts';

/** A file that takes longer stands still: those of groups take a tenth of it on a quiet machine. */
const FILE_MS_MAX = 240_000;
/** What closes by itself has this time after the last file. */
const CLOSE_MS_MAX = 30_000;

export interface GroupFile {
  /** Its path below dist/test. */
  readonly name: string;
  readonly path: string;
}

export async function runGroup(files: readonly GroupFile[]): Promise<void> {
  const left = new Set(files.map(({ name }) => name));
  process.on('exit', () => {
    if (left.size === 0) return;
    const [current, ...others] = left;
    console.error(`The process ended in ${current}; not run: ${others.join(' ') || 'none'}`);
    process.exitCode = 1;
  });
  for (const { name, path } of files) {
    await runFile(name, path);
    left.delete(name);
  }
  const limit = setTimeout(() => {
    const open = process.getActiveResourcesInfo().join(' ');
    console.error(`Open after the last of ${files.map(({ name }) => name).join(' ')}: ${open}`);
    process.exit(1);
  }, CLOSE_MS_MAX);
  limit.unref();
}

/** Resolves when the file's tests and hooks have run. */
function runFile(name: string, path: string): Promise<void> {
  return new Promise((resolve) => {
    void describe(name, { timeout: FILE_MS_MAX }, async () => {
      try {
        await import(pathToFileURL(path).href);
      } catch (error) {
        await endFile();
        resolve();
        throw error;
      }
      // after the hooks of the file itself
      after(async () => {
        await endFile();
        resolve();
      });
    });
  });
}
