/** Runs the command's bundle as `lgateway` does, and writes what the engine has compiled of it when the command ends. */
import { writeFileSync } from 'node:fs';
import { codeFileOf, compileBundle } from '../src/base/run-bundle.ts';
import { COMMAND_BUNDLE } from './bundles.ts';

const run = compileBundle(COMMAND_BUNDLE, undefined);
process.on('exit', (status) => {
  if (status === 0) writeFileSync(codeFileOf(COMMAND_BUNDLE), run.script.createCachedData());
});
run();
