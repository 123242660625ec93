/** What one mapping has in the place of what holds for all, in the words of its keys. */
import type { Config, MappingConfig } from '../config/config.ts';
import { LUA_KEYS } from '../config/file/file-keys.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { scriptSettingsOf } from '../mapping/script-settings.ts';

/** `root=/srv/a sandbox memory=16M allow-run=none`; empty where it has nothing of its own. */
export function showOwnSettings(mapping: MappingConfig, { scripts }: Pick<Config, 'scripts'>): string {
  const { rights = {}, limits = {} } = scriptSettingsOf(scripts, mappingName(mapping)) ?? {};
  const { sandboxed, allowsBytecode } = rights;
  return [
    ...shown(LUA_KEYS.root, mapping.root),
    ...flag(LUA_KEYS.sandbox.name, sandboxed),
    ...shown(LUA_KEYS.luaPath, rights.luaPath),
    ...flag(LUA_KEYS.allowBytecode.name, allowsBytecode),
    ...shown(LUA_KEYS.allowRun, rights.commands),
    ...shown(LUA_KEYS.allowConnect, rights.connect),
    ...shown(LUA_KEYS.allowEnv, rights.variables),
    ...shown(LUA_KEYS.memory, mapping.memoryBytesMax),
    ...shown(LUA_KEYS.cpuLimit, limits.cpuLimitMs),
    ...shown(LUA_KEYS.timeLimit, limits.timeLimitMs),
    ...shown(LUA_KEYS.share, limits.mappingSharePercent),
  ].join(' ');
}

function shown<T>(
  { name, value }: { readonly name: string; readonly value: { show(value: T): string } },
  own: T | undefined,
): string[] {
  if (own === undefined) return [];
  const text = value.show(own);
  return [`${name}=${text === '' ? 'none' : text}`];
}

function flag(name: string, own: boolean | undefined): string[] {
  if (own === undefined) return [];
  return [own ? name : `${name}=false`];
}
