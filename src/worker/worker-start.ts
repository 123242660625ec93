/** What a worker thread runs: the bundle that the build makes from worker-entry.ts. The build makes a CommonJS file of this one, too. */
import { fileURLToPath } from 'node:url';
import { runBundle } from '../base/run-bundle.ts';

runBundle(fileURLToPath(new URL('worker-bundle.cjs', import.meta.url)));
