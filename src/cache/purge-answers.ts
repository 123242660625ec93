/** Makes answers that are kept invalid, in the caches of all workers, and of all machines that share a store. */
import type { PurgeMarks } from './purge-marks.ts';
import { targetKey } from './request-facts.ts';

/** What is not to be used any more. */
export type Purge =
  | { readonly tag: string }
  /** `https://HOST/PATH?QUERY`, as clients ask for it. */
  | { readonly url: string }
  | { readonly all: true };

/** False: the URL is none. What is on its way from a server is not kept either. */
export function purgeAnswers(marks: PurgeMarks, purge: Purge): boolean {
  if ('all' in purge) marks.purgeAll();
  else if ('tag' in purge) marks.purgeTag(purge.tag);
  else {
    const key = keyOfUrl(purge.url);
    if (key === undefined) return false;
    marks.purgeTarget(key);
  }
  return true;
}

/** The target stays as it is written: servers may tell its spellings apart. */
function keyOfUrl(url: string): string | undefined {
  const [, scheme, authority, target = ''] = /^(https?):\/\/([^/?#@\s]+)([/?][^#\s]*)?$/i.exec(url) ?? [];
  if (scheme === undefined || authority === undefined) return undefined;
  return targetKey(scheme.toLowerCase(), authority, target.startsWith('/') ? target : `/${target}`);
}
