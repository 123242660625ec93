/**
 * The two forms of the suite. The short one (`npm test`) tries everything once; the long one (`npm run test:long`) has the
 * same tests with the counts and times that only many rounds, or minutes, make meaningful.
 */
import { type TestContext, test } from 'node:test';

/** Whether this run is the long form. */
export const IS_LONG: boolean = process.env['LGATEWAY_TEST_LONG'] === '1';

/** A count or a time of a test: the first in the short form, the second in the long one. */
export function inForm<T>(short: T, long: T): T {
  return IS_LONG ? long : short;
}

/** A test of the long form alone: its subject has another, shorter test in the short form. */
export function longTest(name: string, run: (t: TestContext) => Promise<void>): void {
  if (IS_LONG) test(name, run);
}
