/** What a mapping of an embedding program says of the servers behind it, checked. */
import { parseAddressList } from '../base/address-list.ts';
import { GatewayError } from '../base/errors.ts';
import { isAuthority } from '../http/semantics/authority.ts';
import { checkFields } from '../http/semantics/fields.ts';
import type { OfPlace } from '../mapping/mapping-name.ts';
import {
  DEFAULT_PROXY_RULES,
  FORWARDED_FORMS,
  type ForwardedForm,
  isSettableField,
  type ProxyMappingSettings,
  type ProxyRules,
  type ProxyTimeouts,
  RETRIES_MAX,
  TARGETS_MAX,
  TRUSTED_MAX,
  type UpstreamTls,
} from '../mapping/proxy-settings.ts';
import { parseTarget } from '../mapping/proxy-target.ts';

/** How requests are passed on; everything may be left out. */
export interface ProxyOptions {
  /** Times in ms; default: 5 s to a connection, 30 s to the head of the answer, 30 s of silence within a body, an hour within a tunnel. */
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
  /** How certificates of the servers are checked. */
  readonly tls?: Partial<UpstreamTls>;
}

/** Errors: LGW_CONFIG that names the option. */
export function readProxyOptions(
  place: OfPlace,
  given: string | readonly string[],
  options: ProxyOptions,
): ProxyMappingSettings {
  return { ...readRules(options), place, targets: readTargets(given) };
}

function readTargets(given: string | readonly string[]): readonly string[] {
  const targets = typeof given === 'string' ? [given] : given;
  if (!Array.isArray(targets) || targets.length === 0 || targets.length > TARGETS_MAX)
    refuse('proxy', given, `a target, or a list of 1 to ${TARGETS_MAX}`);
  for (const target of targets) {
    try {
      parseTarget(String(target));
    } catch (error) {
      throw new GatewayError('LGW_CONFIG', (error as Error).message, { cause: error });
    }
  }
  return targets;
}

function readRules(options: ProxyOptions): ProxyRules {
  const { timeouts = {}, headers = {}, hostHeader = true, retries = DEFAULT_PROXY_RULES.retries } = options;
  const { forwarded = DEFAULT_PROXY_RULES.forwarded, trusted = [], tls = {} } = options;
  for (const [name, ms] of Object.entries(timeouts))
    if (!(Object.hasOwn(DEFAULT_PROXY_RULES.timeouts, name) && typeof ms === 'number' && ms > 0))
      refuse(`timeouts.${name}`, ms, 'one of connectMs, headMs, idleMs, tunnelMs with a number above 0');
  if (typeof hostHeader !== 'boolean' && !(typeof hostHeader === 'string' && isAuthority(hostHeader)))
    refuse('hostHeader', hostHeader, 'true, false, or a host with an optional port');
  if (!(Number.isInteger(retries) && retries >= 0 && retries <= RETRIES_MAX))
    refuse('retries', retries, `a whole number from 0 to ${RETRIES_MAX}`);
  if (!FORWARDED_FORMS.includes(forwarded)) refuse('forwarded', forwarded, '"x", "rfc7239", "both" or false');
  const areTexts = Array.isArray(trusted) && trusted.every((text) => typeof text === 'string');
  if (!areTexts || trusted.length > TRUSTED_MAX || parseAddressList(trusted) === undefined)
    refuse(
      'trusted',
      trusted,
      `a list of ${TRUSTED_MAX} at most of addresses and networks such as 10.0.0.0/8`,
    );
  const all: UpstreamTls = { ...DEFAULT_PROXY_RULES.tls, ...tls };
  if (typeof all.verify !== 'boolean') refuse('tls.verify', all.verify, 'true or false');
  return {
    timeouts: { ...DEFAULT_PROXY_RULES.timeouts, ...timeouts },
    ...readHeaders(headers),
    host: hostHeader,
    retries,
    forwarded,
    trusted,
    tls: all,
  };
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
  checkFields(setFields);
  return { setFields, removedFields };
}

function refuse(option: string, value: unknown, wanted: string): never {
  throw new GatewayError(
    'LGW_CONFIG',
    `Option ${option} of a proxy is ${JSON.stringify(value)} and has to be ${wanted}`,
  );
}
