/** How the files of a folder are served. */
import type { OfPlace } from './mapping-name.ts';

export interface StaticSettings {
  /** Names of the files that stand for the folder they are in, the first that is there; empty = none does. */
  readonly index: readonly string[];
  /** A folder without such a file shows what is in it. */
  readonly listing: boolean;
  /** Value of Cache-Control of the files; undefined = none is sent. */
  readonly cacheControl: string | undefined;
}

/** Those of one mapping. */
export type FolderSettings = StaticSettings & OfPlace;

export const DEFAULT_STATIC_SETTINGS: StaticSettings = {
  index: ['index.html'],
  listing: false,
  cacheControl: undefined,
};

/** What a program says of a folder. */
export type StaticOptions = { readonly [Name in keyof StaticSettings]?: StaticSettings[Name] | undefined };

/** The settings that a program wants; `refuse` throws for an option that is not what it has to be. */
export function readStaticOptions(
  { index, listing, cacheControl }: StaticOptions,
  refuse: (option: string, value: unknown, wanted: string) => never,
): StaticSettings {
  if (index !== undefined && !areIndexNames(index))
    refuse('index', index, `a list of up to ${INDEX_NAMES_MAX} names of files, without a dot before them`);
  if (listing !== undefined && typeof listing !== 'boolean') refuse('listing', listing, 'true or false');
  if (cacheControl !== undefined && !(typeof cacheControl === 'string' && isCacheControl(cacheControl)))
    refuse('cacheControl', cacheControl, 'the value of a field in plain ASCII');
  return {
    index: index ?? DEFAULT_STATIC_SETTINGS.index,
    listing: listing ?? DEFAULT_STATIC_SETTINGS.listing,
    cacheControl: cacheControl ?? DEFAULT_STATIC_SETTINGS.cacheControl,
  };
}

function areIndexNames(names: unknown): names is readonly string[] {
  if (!Array.isArray(names) || names.length > INDEX_NAMES_MAX) return false;
  return names.every((name: unknown) => typeof name === 'string' && isIndexName(name));
}

/** Names of files that may stand for their folder: each is tried with each request of a folder that has none. */
export const INDEX_NAMES_MAX = 8;

/** The name of a file in a folder, which no client is refused. */
export function isIndexName(name: string): boolean {
  return /^[^./\0][^/\0]*$/.test(name);
}

/** A value that may stand in a field: printable, and not blank. */
export function isCacheControl(value: string): boolean {
  return /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value);
}
