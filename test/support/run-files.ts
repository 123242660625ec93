/**
 * Runs test units (test-groups.ts), given as JSON, in that order and so many at a time; exits with 1 when a test has failed. Of a
 * process that ends badly it says which file, and which test, had begun last. A third argument names the file of the durations.
 */
import { relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { rememberDurations } from './test-durations.ts';
import type { TestUnit } from './test-groups.ts';

/** A process that takes longer stands still, without its event loop: files of groups have a limit of their own (run-group.ts). */
const PROCESS_MS_MAX = 900_000;

const testRoot = fileURLToPath(new URL('..', import.meta.url));
const [concurrency = '1', units = '[]', durationsPath] = process.argv.slice(2);
const pathOf = new Map<string, string>();
for (const { path, files } of JSON.parse(units) as TestUnit[])
  for (const file of files) pathOf.set(file, path);
const paths = [...new Set(pathOf.values())];

/** The last file, or the last test of a file, that each process has begun. */
const begun = new Map<string, string>();
/** Milliseconds by test file. */
const durations = new Map<string, number>();

interface TestEvent {
  readonly name: string;
  readonly nesting: number;
  readonly file?: string;
}

/** The suites of a process have the names of files, the tests in them are of the file; undefined for a process as a whole. */
function fileOf({ name, file = '' }: TestEvent): string | undefined {
  const found = pathOf.has(name) ? name : relative(testRoot, file);
  return pathOf.has(found) && !paths.includes(name) ? found : undefined;
}

function addDuration(event: TestEvent & { readonly details: { readonly duration_ms: number } }): void {
  const file = event.nesting === 0 ? fileOf(event) : undefined;
  if (file !== undefined) durations.set(file, event.details.duration_ms);
}

const events = run({ files: paths, concurrency: Number(concurrency), timeout: PROCESS_MS_MAX });
events.on('test:dequeue', (event) => {
  const file = fileOf(event);
  const path = pathOf.get(file ?? '');
  if (file !== undefined && path !== undefined) begun.set(path, `${file}, "${event.name}"`);
});
let passed = 0;
events.on('test:pass', (event) => {
  passed += 1;
  addDuration(event);
});
events.on('test:fail', (event) => {
  const { name, todo } = event;
  if (todo !== undefined) return;
  process.exitCode = 1;
  addDuration(event);
  // a process, not a test, has failed
  if (paths.includes(name))
    console.error(`${name} ended badly; the last it began: ${begun.get(name) ?? 'nothing'}`);
});
events.on('end', () => {
  if (passed > 0) return;
  console.error('No test has passed');
  process.exitCode = 1;
});
if (durationsPath !== undefined) events.on('end', () => rememberDurations(durationsPath, durations));
events.compose(new spec()).pipe(process.stdout);
