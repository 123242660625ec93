/** Turns the values of `-l [HOST]PREFIX SCRIPT` into mappings that can be reached, each place once. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { runsLua } from '../mapping/mapping-kinds.ts';
import { mappingName, type OfPlace } from '../mapping/mapping-name.ts';
import { isTargetText, splitTargets, TARGETS_MAX } from '../mapping/proxy-settings.ts';
import { parseTarget } from '../mapping/proxy-target.ts';
import { PROXY_VALUES } from '../mapping/proxy-values.ts';
import { SCRIPT_MODES, type ScriptMode } from '../mapping/script-mode.ts';
import type { MappingConfig } from './config.ts';
import { HOSTS_MAX, readHost, splitHost } from './mapping-host.ts';
import { type Faults, quote, UsageError } from './usage-error.ts';

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

/**
 * Keeps a fault of each place that cannot match, empty script name, or place given twice, and leaves that mapping out. `root`: what the
 * names are of; the disk is asked which of them are folders.
 */
export function readMappings(
  pairs: readonly (readonly [place: string, script: string])[],
  root: string | undefined,
  faults: Faults,
): MappingConfig[] {
  const byName = new Map<string, MappingConfig>();
  const read = (text: string, script: string): void => {
    const place = readPlace(text, 'Option -l (--lua)');
    const name = mappingName(place);
    if (script === '')
      throw new UsageError(`Option -l (--lua) wants a file name as SCRIPT of ${quote(name)}, not ""`);
    const first = byName.get(name);
    if (first !== undefined)
      throw new UsageError(
        `Option -l (--lua) names the prefix ${quote(name)} twice, for ${quote(first.script)} and ${quote(script)}: the second could never be reached`,
      );
    if (isTargetText(script)) checkTargets(script);
    const kind = isTargetText(script) ? 'proxy' : isFolder(script, root) ? 'static' : undefined;
    byName.set(name, kind === undefined ? { ...place, script } : { ...place, script, kind });
  };
  for (const [text, script] of pairs) faults.attempt(() => read(text, script), undefined);
  return [...byName.values()];
}

/** Throws UsageError for too many hosts. */
export function checkHosts(mappings: readonly OfPlace[]): void {
  const hosts = countHosts(mappings);
  if (hosts > HOSTS_MAX)
    throw new UsageError(`Option -l (--lua) names ${hosts} hosts and the limit is ${HOSTS_MAX}`);
}

function checkTargets(text: string): void {
  const targets = splitTargets(text);
  if (targets.length > TARGETS_MAX)
    throw new UsageError(`Option -l (--lua) names ${targets.length} targets and the limit is ${TARGETS_MAX}`);
  for (const { url, weight } of targets) {
    if (!PROXY_VALUES.weight.accepts(weight))
      throw new UsageError(
        `Option -l (--lua) gives ${quote(url)} the weight ${weight}, and it has to be ${PROXY_VALUES.weight.wants}`,
      );
    try {
      parseTarget(url);
    } catch (error) {
      throw new UsageError(`Option -l (--lua): ${messageOf(error)}`);
    }
  }
}

export function countHosts(mappings: readonly OfPlace[]): number {
  return new Set(mappings.flatMap(({ host }) => host ?? [])).size;
}

function readPlace(text: string, option: string): OfPlace {
  const { host: givenHost, prefix: givenPrefix } = splitHost(text);
  const prefix = normalizePrefix(givenPrefix);
  if (prefix === undefined)
    throw new UsageError(
      `${option} wants a path as PREFIX, without ?, #, control characters and dot segments, not ${quote(text)}`,
    );
  if (givenHost === undefined) return { prefix };
  const read = readHost(givenHost);
  if ('fault' in read) throw new UsageError(`${option} names the host ${quote(givenHost)}: ${read.fault}`);
  return { host: read.host, prefix };
}

/** A name with a `/` at its end is one of a folder also where nothing is there: the message then speaks of a folder. */
function isFolder(name: string, root: string | undefined): boolean {
  if (name.endsWith('/')) return true;
  try {
    return statSync(root === undefined ? name : join(root, name)).isDirectory();
  } catch {
    // whoever loads it says what is wrong with it
    return false;
  }
}

/** Gives mappings the modes of `--mode [PREFIX=]MODE`; throws UsageError for what is no mode, or no prefix of a mapping. */
export function withModes(mappings: readonly MappingConfig[], texts: readonly string[]): MappingConfig[] {
  if (texts.length > 0 && mappings.length === 0)
    throw new UsageError(
      'Option --mode goes with -l (--lua) or -s (--script): the scripts of the package have theirs',
    );
  let general: ScriptMode | undefined;
  const byName = new Map<string, ScriptMode>();
  for (const text of texts) {
    const at = text.lastIndexOf('=');
    const mode = SCRIPT_MODES.find((name) => name === text.slice(at + 1));
    if (mode === undefined)
      throw new UsageError(
        `Option --mode wants one of ${SCRIPT_MODES.join(', ')}, alone or as PREFIX=MODE, not ${quote(text)}`,
      );
    const name = at === -1 ? undefined : mappingName(readPlace(text.slice(0, at), 'Option --mode'));
    if (name === undefined ? general !== undefined : byName.has(name))
      throw new UsageError(`Option --mode names a mode for the same scripts twice: ${quote(text)}`);
    if (name === undefined) general = mode;
    else {
      const mapping = mappings.find((one) => mappingName(one) === name);
      if (mapping === undefined)
        throw new UsageError(`Option --mode names the prefix ${quote(text.slice(0, at))}, which no -l has`);
      if (!runsLua(mapping))
        throw new UsageError(`Option --mode names the prefix ${quote(name)}, which has no script`);
      byName.set(name, mode);
    }
  }
  return mappings.map((mapping) => {
    const mode = runsLua(mapping) ? (byName.get(mappingName(mapping)) ?? mapping.mode ?? general) : undefined;
    return mode === undefined ? mapping : { ...mapping, mode };
  });
}

/** `lgateway app.lua` is short for `lgateway -s app.lua`. */
export function isScriptWord(word: string): boolean {
  return /^[^-].*\.lua$/s.test(word);
}
