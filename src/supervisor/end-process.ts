/** Ends a process that has threads which do not end. */
import { exitAtOnce } from '../native/posix.ts';

/** Node waits for all threads before it ends; one that a call of the system holds would hold up the end as well. */
export function endProcess(code: number): never {
  exitAtOnce(code);
  process.exit(code);
}
