/** What is said when a limit ends a script, or when an exception has passed through the VM. */
import { VmAbandoned } from './guard.ts';

/** What a script's own pcall may see where a limit has to be raised as an error. */
export const LIMIT_MESSAGE = 'CPU limit reached';

/** What becomes known of an exception that has passed through the VM. */
export function describeLoss(thrown: unknown): string {
  if (thrown instanceof VmAbandoned) return [LIMIT_MESSAGE, thrown.traceback].join('\n').trimEnd();
  const error = asError(thrown);
  return error.stack ?? error.message;
}

export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
