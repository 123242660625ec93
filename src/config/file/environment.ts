/** Reads options from variables of the environment: `LGATEWAY_LOG_LEVEL` is `--log-level`. */
import type { Origin } from '../answers.ts';
import type { AnyOption } from '../option.ts';
import { ALL_OPTIONS, OPTIONS } from '../options.ts';
import type { Faults } from '../usage-error.ts';

const PREFIX = 'LGATEWAY_';
const YES: ReadonlySet<string> = new Set(['1', 'true', 'yes', 'on']);
const NO: ReadonlySet<string> = new Set(['0', 'false', 'no', 'off']);
/**
 * What Kubernetes sets in each container of a namespace that has a service of the name "lgateway": `LGATEWAY_PORT=tcp://10.0.0.1:8443`.
 * It is none of ours.
 */
const OF_SERVICE = /^(?:tcp|udp|sctp):\/\//;

/** What variables say, by the long names of options. */
export interface EnvironmentOptions {
  /** An empty list: the option is switched off. */
  readonly texts: ReadonlyMap<string, readonly (readonly string[])[]>;
  readonly origins: ReadonlyMap<string, Origin>;
}

/** A variable that is empty counts as one that is not set; one that names no option belongs to somebody else. */
export function readEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  faults: Faults,
): EnvironmentOptions {
  const texts = new Map<string, readonly (readonly string[])[]>();
  const origins = new Map<string, Origin>();
  for (const [variable, text = ''] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || text === '' || OF_SERVICE.test(text)) continue;
    const option = ALL_OPTIONS.find((one) => isOffered(one) && variableOf(one) === variable);
    if (option === undefined) continue;
    origins.set(option.name, { named: `Variable ${variable}` });
    texts.set(option.name, textsOf(option, text, variable, faults));
  }
  return { texts, origins };
}

/** Mappings have too many parts for one text. */
function isOffered(option: AnyOption): boolean {
  return option.commandLineOnly !== true && option !== OPTIONS.lua;
}

export function variableOf(option: AnyOption): string {
  return PREFIX + option.name.toUpperCase().replaceAll('-', '_');
}

function textsOf(
  option: AnyOption,
  text: string,
  variable: string,
  faults: Faults,
): readonly (readonly string[])[] {
  if (option.kind === 'value' && option.bare !== undefined && option.value.read(text) === undefined) {
    // one that may stand alone is switched on and off as a flag is
    const word = text.toLowerCase();
    if (YES.has(word)) return [['']];
    if (NO.has(word)) return [];
  }
  if (option.kind === 'value')
    return (option.repeats === true ? text.split(',') : [text]).map((one) => [one]);
  if (option.kind === 'tuple') return text.split(',').map((one) => [one]);
  const word = text.toLowerCase();
  if (!YES.has(word) && !NO.has(word))
    faults.add(
      `Variable ${variable} wants 1, true, yes or on, or 0, false, no or off, not ${JSON.stringify(text)}`,
    );
  return YES.has(word) ? [[]] : [];
}
