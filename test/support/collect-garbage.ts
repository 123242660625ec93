/** Frees what nobody holds, for tests that measure memory: how much waits for the engine depends on how busy the machine is. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
export const collectGarbage: () => void = runInNewContext('gc');
