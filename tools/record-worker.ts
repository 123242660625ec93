/** The gateway's own worker, which writes what the engine has compiled of its bundle when it is told to, and says so. */
import { writeFileSync } from 'node:fs';
import { BroadcastChannel } from 'node:worker_threads';
import { codeFileOf, compileBundle } from '../src/base/run-bundle.ts';
import { RECORD_CHANNEL, WORKER_BUNDLE } from './bundles.ts';

const run = compileBundle(WORKER_BUNDLE, undefined);
const channel = new BroadcastChannel(RECORD_CHANNEL);
channel.onmessage = () => {
  writeFileSync(codeFileOf(WORKER_BUNDLE), run.script.createCachedData());
  channel.postMessage('written');
};
run();
