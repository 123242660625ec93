/** Where the bundles lie whose compiled code the build keeps, and how their recorders are spoken to. */
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';

export const COMMAND_BUNDLE: string = join(PACKAGE_ROOT, 'dist/src/command/command-bundle.cjs');
export const WORKER_BUNDLE: string = join(PACKAGE_ROOT, 'dist/src/worker/worker-bundle.cjs');

/** A BroadcastChannel: any message from the build says "write", and the answer is one, too. */
export const RECORD_CHANNEL = 'lgateway-record-code';
