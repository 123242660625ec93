/** What support modules clear away at the end of a test file, whatever has failed in it. */
import { after } from 'node:test';

type Cleanup = () => unknown;

const cleanups: Cleanup[] = [];

/** To be called once, where a module is loaded: several files of one process may use the module, and each of them has an end. */
export function atEndOfFile(cleanup: Cleanup): void {
  cleanups.push(cleanup);
  // a program that is no test must not become one
  if (process.argv[1]?.endsWith('.test.js') === true) after(cleanup);
}

/** The end of a file that shares its process (run-group.ts). */
export async function endFile(): Promise<void> {
  for (const cleanup of cleanups) await cleanup();
}
