/** The limits and rights that an embedding program gives all scripts, or one mapping: types, and what is refused. */
import { parseConnectRules } from '../base/connect-rules.ts';
import { GatewayError } from '../base/errors.ts';
import { mappingName, type OfPlace } from '../mapping/mapping-name.ts';
import { DEFAULT_SCRIPT_RIGHTS, type ScriptRights } from '../mapping/script-rights.ts';
import {
  MEMORY_SIZES_MAX,
  type OwnLimits,
  type OwnMachine,
  type ScriptSettings,
} from '../mapping/script-settings.ts';
import { LIMIT_BOUNDS, type Limits } from '../settings/limits.ts';

/** What a script has of its own; what is left out is as it is for all scripts. */
export interface ScriptMappingOptions {
  /** Virtual root of this script and of all its file access. */
  readonly root?: string;
  readonly rights?: Partial<ScriptRights>;
  readonly limits?: OwnLimits & Partial<Pick<Limits, 'memoryBytesMax'>>;
}

/** What a module of handlers has of its own. It is trusted: rights, a root, processor time and memory bind scripts in Lua only. */
export interface ModuleMappingOptions {
  readonly limits?: Pick<OwnLimits, 'timeLimitMs' | 'mappingSharePercent'>;
}

const MODULE_LIMITS: readonly string[] = ['timeLimitMs', 'mappingSharePercent'];
const SCRIPT_LIMITS: readonly string[] = [...MODULE_LIMITS, 'cpuLimitMs', 'memoryBytesMax'];
/** Options of scripts that mean nothing to a module. */
const SCRIPT_ONLY: readonly string[] = ['root', 'rights', 'mode'];

/** Limits that 0 switches off on the command line, where Infinity cannot be written: here 0 would be the opposite. */
const UNLIMITED_BY_ZERO: ReadonlySet<string> = new Set([
  'bodyBytesMax',
  'unreadBodyBytesMax',
  'cpuLimitMs',
  'timeLimitMs',
  'logBytesPerSecond',
] satisfies (keyof Limits)[]);

/** `of`: what a message adds to the name of a limit (` of "/app"`). Errors: LGW_CONFIG for a limit that is not in `names`, or out of bounds. */
export function checkLimits(
  of: string,
  names: readonly string[],
  given: Readonly<Record<string, unknown>>,
): void {
  for (const [name, value] of Object.entries(given)) {
    if (!names.includes(name))
      throw new GatewayError(
        'LGW_CONFIG',
        `Option limits${of} has no limit ${JSON.stringify(name)}${of === '' ? '' : `; it has ${names.join(', ')}`}`,
      );
    if (!(typeof value === 'number' && value >= 0))
      throw new GatewayError('LGW_CONFIG', `Limit ${name}${of} is ${value} and has to be a number from 0 up`);
    if (value === 0 && UNLIMITED_BY_ZERO.has(name))
      throw new GatewayError(
        'LGW_CONFIG',
        `Limit ${name}${of} is 0 and has to be above; Infinity is no limit`,
      );
    if (name === 'heartbeatLimitMs' && value < LIMIT_BOUNDS.heartbeatMsMin)
      throw new GatewayError(
        'LGW_CONFIG',
        `Limit ${name}${of} is ${value} and has to be a number from ${LIMIT_BOUNDS.heartbeatMsMin} up`,
      );
    if (name === 'mappingSharePercent' && (value < 1 || value > LIMIT_BOUNDS.percentMax))
      throw new GatewayError(
        'LGW_CONFIG',
        `Limit ${name}${of} is ${value} and has to be a number from 1 to ${LIMIT_BOUNDS.percentMax}`,
      );
  }
}

/** `of`: as in `checkLimits`. Errors: LGW_CONFIG. */
export function checkedRights(of: string, given: Partial<ScriptRights>): Partial<ScriptRights> {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(DEFAULT_SCRIPT_RIGHTS, name));
  if (unknown !== undefined)
    throw new GatewayError(
      'LGW_CONFIG',
      `Option rights${of} has no right ${JSON.stringify(unknown)}; it has ${Object.keys(DEFAULT_SCRIPT_RIGHTS).join(', ')}`,
    );
  const { connect } = given;
  const isList = Array.isArray(connect) && connect.every((entry) => typeof entry === 'string');
  if (connect !== undefined && !(isList && parseConnectRules(connect) !== undefined))
    throw new GatewayError(
      'LGW_CONFIG',
      `Right connect${of} is ${JSON.stringify(connect)} and has to be ["all"], ["none"], or a list of "public", names, "*.NAME" and addresses`,
    );
  return given;
}

/** What belongs to the start. Errors: LGW_CONFIG. */
export function readOwnMachine({ root, limits }: ScriptMappingOptions, name: string): OwnMachine {
  if (root !== undefined && (typeof root !== 'string' || root === ''))
    throw new GatewayError(
      'LGW_CONFIG',
      `Option root of ${JSON.stringify(name)} is ${JSON.stringify(root)} and has to be the name of a directory`,
    );
  const memoryBytesMax = limits?.memoryBytesMax;
  const { memoryBytesMin: min, memoryBytesMax: max } = LIMIT_BOUNDS;
  if (memoryBytesMax !== undefined && !(memoryBytesMax >= min && memoryBytesMax <= max))
    throw new GatewayError(
      'LGW_CONFIG',
      `Limit memoryBytesMax of ${JSON.stringify(name)} is ${memoryBytesMax} and has to be a number from ${min} to ${max}`,
    );
  return {
    ...(root === undefined ? {} : { root }),
    ...(memoryBytesMax === undefined ? {} : { memoryBytesMax }),
  };
}

/** The Lua machine is compiled for each size. Errors: LGW_CONFIG. */
export function refuseManySizes(machines: readonly OwnMachine[]): void {
  const sizes = new Set(machines.flatMap(({ memoryBytesMax }) => memoryBytesMax ?? []));
  if (sizes.size >= MEMORY_SIZES_MAX)
    throw new GatewayError(
      'LGW_CONFIG',
      `Option mappings has ${sizes.size} sizes of memory beside that of all, and the limit is ${MEMORY_SIZES_MAX - 1}`,
    );
}

/** One entry or none. Errors: LGW_CONFIG. */
export function readScriptSettings(
  place: OfPlace,
  { rights = {}, limits = {} }: ScriptMappingOptions,
): ScriptSettings[] {
  const of = ` of ${JSON.stringify(mappingName(place))}`;
  checkLimits(of, SCRIPT_LIMITS, { ...limits });
  const { memoryBytesMax: _, ...ownLimits } = limits;
  return entry({ ...place, rights: checkedRights(of, rights), limits: ownLimits });
}

/** One entry or none. Errors: LGW_CONFIG, which name what only scripts can have. */
export function readModuleSettings(place: OfPlace, options: ModuleMappingOptions): ScriptSettings[] {
  const of = ` of ${JSON.stringify(mappingName(place))}`;
  const wrong = SCRIPT_ONLY.find((option) => Object.hasOwn(options, option));
  if (wrong !== undefined)
    throw new GatewayError(
      'LGW_CONFIG',
      `Option ${wrong}${of} binds scripts in Lua only: a module has all that Node has`,
    );
  const { limits = {} } = options;
  checkLimits(of, MODULE_LIMITS, { ...limits });
  return entry({ ...place, rights: {}, limits });
}

function entry(settings: ScriptSettings): ScriptSettings[] {
  const { rights, limits } = settings;
  return Object.keys(rights).length + Object.keys(limits).length === 0 ? [] : [settings];
}
