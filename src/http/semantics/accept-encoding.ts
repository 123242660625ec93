/** Which codings of a body a client takes (RFC 9110 §12.5.3). */
import { trimBlanks } from './fields.ts';

/** True when the value of Accept-Encoding names `coding`, or `*`, and does not refuse it with `q=0`. */
export function acceptsCoding(value: string | undefined, coding: string): boolean {
  return value !== undefined && (qualityOf(value, coding, true) ?? 0) > 0;
}

/** Those of `codings` that the client takes, and likes no less than the file as it is: its favourite first, then in the order given. */
export function preferredCodings<Coding extends string>(
  value: string | undefined,
  codings: readonly Coding[],
): readonly Coding[] {
  if (value === undefined) return [];
  const least = qualityOf(value, 'identity', false) ?? 0;
  return codings
    .map((coding) => ({ coding, quality: qualityOf(value, coding, true) ?? 0 }))
    .filter(({ quality }) => quality > 0 && quality >= least)
    .sort((a, b) => b.quality - a.quality)
    .map(({ coding }) => coding);
}

/** The quality (0 to 1) of a coding that is named, or with `orAny` of `*`; undefined where it is not. What is no quality counts as 1. */
function qualityOf(value: string, coding: string, orAny: boolean): number | undefined {
  let any: number | undefined;
  for (const member of value.toLowerCase().split(',')) {
    const [named = '', ...parameters] = member.split(';').map(trimBlanks);
    // RFC 9110 §8.4.1.3
    const name = named === 'x-gzip' ? 'gzip' : named;
    if (name !== coding && !(orAny && name === '*')) continue;
    let quality = 1;
    for (const parameter of parameters) {
      const digits = /^q[\t ]*=[\t ]*(0(?:\.[0-9]*)?)$/.exec(parameter)?.[1];
      if (digits !== undefined) quality = Math.min(quality, Number(digits));
    }
    if (name === coding) return quality;
    any = quality;
  }
  return any;
}
