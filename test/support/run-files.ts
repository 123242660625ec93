/** Runs the test files named on its command line in that order, so many at a time; exits with 1 when a test has failed. */
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/** A file that takes longer stands still: the slowest takes a quarter of it in the short form. */
const FILE_MS_MAX = 240_000;

const [concurrency, ...files] = process.argv.slice(2);
const events = run({ files, concurrency: Number(concurrency), timeout: FILE_MS_MAX });
events.on('test:fail', ({ todo }) => {
  if (todo === undefined) process.exitCode = 1;
});
events.compose(new spec()).pipe(process.stdout);
