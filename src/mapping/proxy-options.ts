/** What programs and handlers in TypeScript say of the servers behind a proxy, checked. */
import { GatewayError } from '../base/errors.ts';
import { checkFields } from '../http/semantics/fields.ts';
import type { OfPlace } from './mapping-name.ts';
import {
  type BalanceSettings,
  type CallCache,
  DEFAULT_HEALTH,
  DEFAULT_PROXY_RULES,
  type ForwardedForm,
  type HashKey,
  type HealthSettings,
  isSettableField,
  type ProxyMappingSettings,
  type ProxyRules,
  type ProxyTimeouts,
  SET_FIELDS_MAX,
  TARGETS_MAX,
  type UpstreamTls,
  type WeightedTarget,
} from './proxy-settings.ts';
import { parseTarget } from './proxy-target.ts';
import { PROXY_VALUES, showValue, type ValueRule } from './proxy-values.ts';

/** How requests are passed on; everything may be left out. */
export interface ProxyOptions {
  /** Times in ms; default: 5 s to a connection, 30 s to the head of the answer, both of them for all tries together, 30 s of silence within a body, an hour within a tunnel. */
  readonly timeouts?: Partial<ProxyTimeouts>;
  /** Fields of the request that are set; false: the field is left out. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | false>>;
  /** The value of Host; true, the default, is the client's, false that of the target. */
  readonly hostHeader?: string | boolean;
  /** Further servers that are tried where that is safe, 0 to 8; default 1. */
  readonly retries?: number;
  /** Which fields tell the servers of the client; default `x`. */
  readonly forwarded?: ForwardedForm;
  /** Addresses and networks of proxies before this one, whose own fields of that kind are kept; default: none. */
  readonly trusted?: readonly string[];
  /** How certificates of the servers are checked; `ca` of a mapping may be the name of a file. */
  readonly tls?: Partial<UpstreamTls>;
  /** Which of several servers gets a request; default `random2`: of two at random the one for which fewer requests wait. */
  readonly balance?: BalanceSettings['kind'];
  /** What `hash` puts requests in their place by; default: the address of the client. */
  readonly hash?: 'address' | 'path' | { readonly field: string } | { readonly value: string };
  /** How the servers are checked; default: only the requests themselves show how they are. */
  readonly health?: Partial<HealthSettings>;
}

/** Gets the names of the servers that are up (`http://HOST:PORT`) and returns the index of one in that list. */
export type ServerChoice = (servers: readonly string[]) => number;

/** How the request of a handler is passed on. */
export interface HandlerProxyOptions extends Omit<ProxyOptions, 'balance'> {
  /** Which of several servers gets the request: as in a mapping, or a function. */
  readonly balance?: BalanceSettings['kind'] | ServerChoice;
  /** Path and query for the server, in the place of the client's. */
  readonly path?: string;
  /**
   * The answer is kept where it allows it (RFC 9111), and answers further calls with the same targets and options for the same URL; `tags`: by which it
   * can be purged, beside those that the server names. Default false.
   */
  readonly cache?: boolean | { readonly tags?: readonly string[] };
}

/** A target, alone or with the part of the requests that it is to get beside others: 1, the default, to 100. */
export type ProxyTargetOption = string | { readonly url: string; readonly weight?: number };

/** One target, or several. */
export type ProxyTargets = string | readonly ProxyTargetOption[];

/** How requests of one proxy go, without the place of a mapping. */
type ProxyPlan = Omit<ProxyMappingSettings, 'place'>;

/** Errors: LGW_CONFIG that names the option. */
export function readProxyMapping(
  place: OfPlace,
  given: ProxyTargets,
  options: ProxyOptions,
): ProxyMappingSettings {
  return { ...readProxyPlan(given, options), place };
}

/** What one call of a handler says. */
interface HandlerPlan extends ProxyPlan {
  readonly choose: ServerChoice | undefined;
  readonly path: string | undefined;
  readonly call: CallCache | undefined;
}

/** The same for a handler; Errors: LGW_CONFIG that names the option. */
export function readHandlerPlan(
  given: ProxyTargets,
  { balance, path, cache, ...options }: HandlerProxyOptions,
): HandlerPlan {
  const choose = typeof balance === 'function' ? balance : undefined;
  return {
    ...readProxyPlan(given, typeof balance === 'string' ? { ...options, balance } : options),
    choose,
    path: path === undefined ? undefined : check('path', path, PROXY_VALUES.path),
    call: readCallCache(cache),
  };
}

function readCallCache(given: HandlerProxyOptions['cache'] = false): CallCache | undefined {
  if (typeof given === 'boolean') return given ? { tags: [] } : undefined;
  if (typeof given !== 'object' || given === null)
    refuse('cache', given, 'true, false, or an object with tags');
  for (const [name, value] of Object.entries(given))
    if (name !== 'tags') refuse(`cache.${name}`, value, 'one of tags');
  return { tags: check('cache.tags', given.tags ?? [], PROXY_VALUES.tags) };
}

/** Errors: LGW_CONFIG that names the option. */
function readProxyPlan(given: ProxyTargets, options: ProxyOptions): ProxyPlan {
  return {
    ...readRules(options),
    targets: readTargets(given),
    balance: readBalance(options),
    health: readHealth(options.health),
  };
}

function readTargets(given: ProxyTargets): readonly WeightedTarget[] {
  const targets = typeof given === 'string' ? [given] : given;
  if (!Array.isArray(targets) || targets.length === 0 || targets.length > TARGETS_MAX)
    refuse('proxy', given, `a target, or a list of 1 to ${TARGETS_MAX}`);
  return targets.map(readTarget);
}

function readTarget(given: ProxyTargetOption): WeightedTarget {
  const { url, weight = 1 } = typeof given === 'object' && given !== null ? given : { url: given };
  try {
    parseTarget(String(url));
  } catch (error) {
    throw new GatewayError('LGW_CONFIG', (error as Error).message, { cause: error });
  }
  return { url, weight: check('weight', weight, PROXY_VALUES.weight) };
}

function readRules(options: ProxyOptions): ProxyRules {
  const { timeouts = {}, tls = {}, headers = {} } = options;
  const before = DEFAULT_PROXY_RULES;
  const timeNames = Object.keys(before.timeouts);
  for (const [name, ms] of Object.entries(timeouts)) {
    if (!timeNames.includes(name)) refuse(`timeouts.${name}`, ms, `one of ${timeNames.join(', ')}`);
    if (name !== 'totalMs' || ms !== undefined) check(`timeouts.${name}`, ms, PROXY_VALUES.timeMs);
  }
  const all: UpstreamTls = { ...before.tls, ...tls };
  return {
    timeouts: { ...before.timeouts, ...timeouts },
    ...readHeaders(headers),
    host: check('hostHeader', options.hostHeader ?? before.host, PROXY_VALUES.host),
    retries: check('retries', options.retries ?? before.retries, PROXY_VALUES.retries),
    forwarded: check('forwarded', options.forwarded ?? before.forwarded, PROXY_VALUES.forwarded),
    trusted: check('trusted', options.trusted ?? before.trusted, PROXY_VALUES.trusted),
    tls: {
      verify: check('tls.verify', all.verify, PROXY_VALUES.verify),
      ca: all.ca === undefined ? undefined : check('tls.ca', all.ca, PROXY_VALUES.ca),
      servername:
        all.servername === undefined
          ? undefined
          : check('tls.servername', all.servername, PROXY_VALUES.servername),
    },
  };
}

function readBalance({ balance = 'random2', hash = 'address' }: ProxyOptions): BalanceSettings {
  const kind = check('balance', balance, PROXY_VALUES.balance);
  const key = readHashKey(hash);
  return kind === 'hash' ? { kind, key } : { kind };
}

function readHashKey(hash: NonNullable<ProxyOptions['hash']>): HashKey {
  if (typeof hash === 'object' && hash !== null) {
    if ('field' in hash)
      return { by: 'field', name: check('hash.field', hash.field, PROXY_VALUES.hashField).toLowerCase() };
    if ('value' in hash)
      return { by: 'value', value: check('hash.value', hash.value, PROXY_VALUES.hashValue) };
  }
  return { by: check('hash', hash, PROXY_VALUES.hashBy) };
}

const HEALTH_RULES: {
  readonly [Name in keyof HealthSettings]: ValueRule<NonNullable<HealthSettings[Name]>>;
} = {
  path: PROXY_VALUES.checkPath,
  intervalMs: PROXY_VALUES.checkMs,
  timeoutMs: PROXY_VALUES.checkMs,
  status: PROXY_VALUES.checkStatus,
  fall: PROXY_VALUES.checkCount,
  rise: PROXY_VALUES.checkCount,
};

function readHealth(given: ProxyOptions['health']): HealthSettings | undefined {
  if (given === undefined) return undefined;
  for (const [name, value] of Object.entries(given)) {
    const rule = Object.hasOwn(HEALTH_RULES, name) ? HEALTH_RULES[name as keyof HealthSettings] : undefined;
    if (rule === undefined) refuse(`health.${name}`, value, `one of ${Object.keys(HEALTH_RULES).join(', ')}`);
    if (value !== undefined) check<string | number>(`health.${name}`, value, rule);
  }
  return { ...DEFAULT_HEALTH, ...given };
}

function readHeaders(
  headers: NonNullable<ProxyOptions['headers']>,
): Pick<ProxyRules, 'setFields' | 'removedFields'> {
  const setFields: string[] = [];
  const removedFields: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (!isSettableField(name)) refuse(`headers.${name}`, value, 'left to the gateway');
    removedFields.push(name.toLowerCase());
    if (value === false) continue;
    for (const one of Array.isArray(value) ? value : [value]) setFields.push(name, String(one));
  }
  const count = Math.max(removedFields.length, setFields.length / 2);
  if (count > SET_FIELDS_MAX)
    throw new GatewayError(
      'LGW_CONFIG',
      `Option headers of a proxy has ${count} fields and the limit is ${SET_FIELDS_MAX}`,
    );
  checkFields(setFields);
  return { setFields, removedFields };
}

function check<T>(option: string, value: unknown, rule: ValueRule<T>): T {
  return rule.accepts(value) ? value : refuse(option, value, rule.wants);
}

function refuse(option: string, value: unknown, wanted: string): never {
  throw new GatewayError(
    'LGW_CONFIG',
    `Option ${option} of a proxy is ${showValue(value)} and has to be ${wanted}`,
  );
}
