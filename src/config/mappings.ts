/** Turns the values of `-l PREFIX SCRIPT` into mappings whose prefixes can be reached, each once. */
import type { MappingConfig } from './config.ts';
import { quote, UsageError } from './usage-error.ts';

/**
 * Brings a path prefix into the one form that is compared with request paths: one `/` in front, none at the end, none
 * doubled (`app/` and `//app` become `/app`; `/` stays). Undefined for a prefix that no request path can match.
 */
export function normalizePrefix(prefix: string): string | undefined {
  if (prefix === '' || /[?#\0\r\n]/.test(prefix)) return undefined;
  const segments = prefix.split('/').filter((segment) => segment !== '');
  if (segments.some((segment) => segment === '.' || segment === '..')) return undefined;
  return `/${segments.join('/')}`;
}

/** Throws UsageError for a prefix that cannot match, an empty script name, or a prefix given twice. */
export function readMappings(pairs: readonly (readonly [prefix: string, script: string])[]): MappingConfig[] {
  const byPrefix = new Map<string, MappingConfig>();
  for (const [givenPrefix, script] of pairs) {
    const prefix = normalizePrefix(givenPrefix);
    if (prefix === undefined)
      throw new UsageError(
        `Option -l (--lua) wants a path as PREFIX, without ?, #, control characters and dot segments, not ${quote(givenPrefix)}`,
      );
    if (script === '')
      throw new UsageError(`Option -l (--lua) wants a file name as SCRIPT of ${quote(prefix)}, not ""`);
    const first = byPrefix.get(prefix);
    if (first !== undefined)
      throw new UsageError(
        `Option -l (--lua) names the prefix ${quote(prefix)} twice, for ${quote(first.script)} and ${quote(script)}: the second could never be reached`,
      );
    byPrefix.set(prefix, { prefix, script });
  }
  return [...byPrefix.values()];
}
