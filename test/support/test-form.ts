/**
 * The two forms of the suite. The short form (`npm run test:all`) runs everything once. The long form (`npm run test:long`) runs the
 * same tests with larger counts and times, where only many rounds or minutes can show a fault.
 */
import { type TestContext, test } from 'node:test';

/** True when this run is the long form. */
export const IS_LONG: boolean = process.env['LGATEWAY_TEST_LONG'] === '1';

/** Returns a count or a time of a test: the first in the short form, the second in the long form. */
export function inForm<T>(short: T, long: T): T {
  return IS_LONG ? long : short;
}

/** Declares a test of the long form only; another, shorter test covers the same code in the short form. */
export function longTest(name: string, run: (t: TestContext) => Promise<void>): void {
  if (IS_LONG) test(name, run);
}
