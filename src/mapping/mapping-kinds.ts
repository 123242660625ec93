/** What can stand behind a path prefix. Another kind is a row of this table, and one of the loaders in worker/mapping-loaders.ts. */

export type MappingKind = 'script' | 'module' | 'static' | 'proxy';

interface KindFacts {
  /** It has Lua states: the Lua machine is compiled for it, and what it uses is counted and has a share. */
  readonly runsLua: boolean;
}

const MAPPING_KINDS: Readonly<Record<MappingKind, KindFacts>> = {
  script: { runsLua: true },
  module: { runsLua: false },
  static: { runsLua: false },
  proxy: { runsLua: false },
};

/** What stands behind a prefix; default: a Lua script. */
export interface OfKind {
  readonly kind?: MappingKind;
}

export function kindOf({ kind = 'script' }: OfKind): MappingKind {
  return kind;
}

export function runsLua(mapping: OfKind): boolean {
  return MAPPING_KINDS[kindOf(mapping)].runsLua;
}
