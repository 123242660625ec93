/** Turns the values of `-l PREFIX SCRIPT` into mappings whose prefixes can be reached, each once. */
import { runsLua } from '../mapping/mapping-kinds.ts';
import { SCRIPT_MODES, type ScriptMode } from '../mapping/script-mode.ts';
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
    byPrefix.set(prefix, isFolder(script) ? { prefix, script, kind: 'static' } : { prefix, script });
  }
  return [...byPrefix.values()];
}

/** A folder is named with a `/` at its end: what a command line means does not depend on what is on the disk. */
function isFolder(name: string): boolean {
  return name.endsWith('/');
}

/** Gives mappings the modes of `--mode [PREFIX=]MODE`; throws UsageError for what is no mode, or no prefix of a mapping. */
export function withModes(mappings: readonly MappingConfig[], texts: readonly string[]): MappingConfig[] {
  if (texts.length > 0 && mappings.length === 0)
    throw new UsageError(
      'Option --mode goes with -l (--lua) or -s (--script): the scripts of the package have theirs',
    );
  let general: ScriptMode | undefined;
  const byPrefix = new Map<string, ScriptMode>();
  for (const text of texts) {
    const at = text.lastIndexOf('=');
    const mode = SCRIPT_MODES.find((name) => name === text.slice(at + 1));
    if (mode === undefined)
      throw new UsageError(
        `Option --mode wants one of ${SCRIPT_MODES.join(', ')}, alone or as PREFIX=MODE, not ${quote(text)}`,
      );
    const prefix = at === -1 ? undefined : normalizePrefix(text.slice(0, at));
    if (at === -1 ? general !== undefined : prefix !== undefined && byPrefix.has(prefix))
      throw new UsageError(`Option --mode names a mode for the same scripts twice: ${quote(text)}`);
    if (at === -1) general = mode;
    else if (prefix === undefined || !mappings.some((mapping) => mapping.prefix === prefix))
      throw new UsageError(`Option --mode names the prefix ${quote(text.slice(0, at))}, which no -l has`);
    else if (mappings.some((mapping) => mapping.prefix === prefix && !runsLua(mapping)))
      throw new UsageError(
        `Option --mode names the prefix ${quote(prefix)}, which has a folder and no script`,
      );
    else byPrefix.set(prefix, mode);
  }
  return mappings.map((mapping) => {
    const mode = runsLua(mapping) ? (byPrefix.get(mapping.prefix) ?? general) : undefined;
    return mode === undefined ? mapping : { ...mapping, mode };
  });
}

/** `lgateway app.lua` is short for `lgateway -s app.lua`. */
export function isScriptWord(word: string): boolean {
  return /^[^-].*\.lua$/s.test(word);
}
