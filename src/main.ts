#!/usr/bin/env node
/**
 * The command `lgateway`: says its version, which needs nothing else, and leaves all other words to the bundle that the build
 * makes from command/command.ts.
 */
import { runBundle } from './base/run-bundle.ts';

if (process.argv.length === 3 && process.argv[2] === '--version') {
  // a terminal or pipe that is gone is no reason to end
  process.stdout.on('error', () => undefined);
  const { packageVersion } = await import('./base/package-info.ts');
  process.stdout.write(`lgateway ${packageVersion()}\n`);
} else {
  runBundle(`${import.meta.dirname}/command/command-bundle.cjs`);
}
