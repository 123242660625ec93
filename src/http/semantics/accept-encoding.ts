/** Which codings of a body a client takes: the one reader of Accept-Encoding (RFC 9110 §12.5.3). */
import { trimBlanks } from './fields.ts';

/** Characters. Browsers send some twenty; a client that sends more than this gets the body as it is. */
const VALUE_LENGTH_MAX = 1024;

/** A coding or `*`, and its weight (RFC 9110 §12.4.2). */
const MEMBER = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:[\t ]*;[\t ]*[Qq]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?$/;

/** True when the value of Accept-Encoding names `coding`, or `*`, and does not refuse it with `q=0`. */
export function acceptsCoding(value: string | undefined, coding: string): boolean {
  const weights = readWeights(value);
  return weights !== undefined && weightOf(weights, coding) > 0;
}

/**
 * Those of `codings` that the client takes, and likes no less than the body as it is: its favourite first, then in the order given.
 * None where the value is no list of codings. A client that takes neither these nor the body as it is (`identity;q=0`) gets the
 * latter all the same: RFC 9110 §12.1 lets a server disregard the field, and a page it cannot read says less than one it can.
 */
export function preferredCodings<Coding extends string>(
  value: string | undefined,
  codings: readonly Coding[],
): readonly Coding[] {
  const weights = readWeights(value);
  if (weights === undefined) return [];
  // without a weight of its own, `identity` is what remains where nothing else is taken
  const least = weights.get('identity') ?? 0;
  return codings
    .map((coding) => ({ coding, weight: weightOf(weights, coding) }))
    .filter(({ weight }) => weight > 0 && weight >= least)
    .sort((a, b) => b.weight - a.weight)
    .map(({ coding }) => coding);
}

function weightOf(weights: ReadonlyMap<string, number>, coding: string): number {
  return weights.get(coding) ?? weights.get('*') ?? 0;
}

/** The weight of each member; undefined: the value is no list of codings. Of two weights of one coding the smaller counts. */
function readWeights(value: string | undefined): ReadonlyMap<string, number> | undefined {
  if (value === undefined || value.length > VALUE_LENGTH_MAX) return undefined;
  const weights = new Map<string, number>();
  for (const part of value.split(',')) {
    const member = trimBlanks(part);
    // RFC 9110 §5.6.1.2
    if (member === '') continue;
    const match = MEMBER.exec(member);
    if (match === null) return undefined;
    const lower = (match[1] as string).toLowerCase();
    // RFC 9110 §8.4.1.3
    const name = lower === 'x-gzip' ? 'gzip' : lower;
    const weight = match[2] === undefined ? 1 : Number(match[2]);
    weights.set(name, Math.min(weight, weights.get(name) ?? 1));
  }
  return weights;
}
