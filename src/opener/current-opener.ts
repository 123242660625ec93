/** The opener that this process has: one for the process, as its user is. */
import { useFileOpener } from '../base/open-file.ts';
import type { RootOpener } from './root-opener.ts';

let current: RootOpener | undefined;

export function currentOpener(): RootOpener | undefined {
  return current;
}

/** From now on it opens what this user may not. */
export function setCurrentOpener(opener: RootOpener | undefined): void {
  current = opener;
  useFileOpener(opener);
}
