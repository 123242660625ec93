/**
 * Runs the files named on its command line in that order, so many at a time; exits with 1 when a test has failed. A file is a
 * test file or runs a group of them (run-group.ts); which of them stands still is said by name.
 */
import { relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { rememberDurations } from './test-durations.ts';

/** A process that takes longer stands still: the slowest takes a quarter of it in the short form. */
const PROCESS_MS_MAX = 300_000;

const testRoot = fileURLToPath(new URL('..', import.meta.url));
const [concurrency, ...paths] = process.argv.slice(2);

/** The test, or the file of a group, that each process has begun last. */
const begun = new Map<string, string>();
/** Milliseconds by test file. */
const durations = new Map<string, number>();

/** A group's suites have the names of files, the tests of any other file are in it. */
function fileOf(name: string, path: string): string {
  return name.endsWith('.test.js') ? name : relative(testRoot, path);
}

function addDuration(event: {
  name: string;
  nesting: number;
  file?: string;
  details: { duration_ms: number };
}) {
  if (event.nesting > 0 || event.file === undefined || event.name === event.file) return;
  const file = fileOf(event.name, event.file);
  durations.set(file, (durations.get(file) ?? 0) + event.details.duration_ms);
}

const events = run({ files: paths, concurrency: Number(concurrency), timeout: PROCESS_MS_MAX });
events.on('test:dequeue', ({ name, nesting, file }) => {
  if (nesting === 0 && file !== undefined && name !== file) begun.set(file, name);
});
events.on('test:pass', addDuration);
events.on('test:fail', (event) => {
  const { name, todo } = event;
  if (todo !== undefined) return;
  process.exitCode = 1;
  addDuration(event);
  // a process, not a test, has failed
  if (paths.includes(name))
    console.error(`${name} ended badly; it had begun ${begun.get(name) ?? 'nothing'}`);
});
events.on('end', () => rememberDurations(durations));
events.compose(new spec()).pipe(process.stdout);
