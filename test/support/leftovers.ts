/** Cleanup that support modules do at the end of a test file, also after a failure. */
import { after } from 'node:test';

type Cleanup = () => unknown;

const cleanups: Cleanup[] = [];

/**
 * Called once, where a module is loaded. Several files of one process may use the module; the cleanup runs at the end of each.
 */
export function atEndOfFile(cleanup: Cleanup): void {
  cleanups.push(cleanup);
  // a hook of node:test would make a test of a program that is none
  if (process.argv[1]?.endsWith('.test.js') === true) after(cleanup);
}

/** Runs the cleanup at the end of a file that shares its process (run-group.ts). */
export async function endFile(): Promise<void> {
  for (const cleanup of cleanups) await cleanup();
}
