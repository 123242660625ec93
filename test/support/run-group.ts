/**
 * Runs the test files of a group, or a file that has its process alone, one after the other in this process, each as a suite that has the file's name. What a file
 * leaves undone fails the group: an exit before the last file, an error after the end of a test, something that stays open.
 */
import { after, describe } from 'node:test';
import { pathToFileURL } from 'node:url';
import { endFile } from './leftovers.ts';
import { noteCost, processorMs } from './test-durations.ts';
import { inForm } from './test-form.ts';

/** A file that takes longer stands still: those of groups take a tenth of it on a quiet machine. */
const FILE_MS_MAX: number = inForm(240_000, 840_000);
/** A file with a process of its own may be long. */
const LONE_FILE_MS_MAX = 840_000;
/** What closes by itself has this time after the last file. */
const CLOSE_MS_MAX = 30_000;

/** The name under which the starts of processes are noted. */
const START = 'start of a process';

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
  const limitMs = files.length === 1 ? LONE_FILE_MS_MAX : FILE_MS_MAX;
  noteCost({ name: START, processorMs: processorMs(), ms: performance.now() });
  for (const { name, path } of files) {
    const begun = { processorMs: processorMs(), ms: performance.now() };
    await runFile(name, path, limitMs);
    left.delete(name);
    noteCost({
      name,
      processorMs: processorMs() - begun.processorMs,
      ms: performance.now() - begun.ms,
    });
  }
  const limit = setTimeout(() => {
    const open = process.getActiveResourcesInfo().join(' ');
    console.error(`Open after the last of ${files.map(({ name }) => name).join(' ')}: ${open}`);
    process.exit(1);
  }, CLOSE_MS_MAX);
  limit.unref();
}

/** Resolves when the file's tests and hooks have run. */
function runFile(name: string, path: string, limitMs: number): Promise<void> {
  return new Promise((resolve) => {
    void describe(name, { timeout: limitMs }, async () => {
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
