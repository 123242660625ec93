/** Which codings of a body a client takes (RFC 9110 §12.5.3). */
import { trimBlanks } from './fields.ts';

/** True when the value of Accept-Encoding names `coding`, or `*`, and does not refuse it with `q=0`. */
export function acceptsCoding(value: string | undefined, coding: string): boolean {
  if (value === undefined) return false;
  let any = false;
  for (const member of value.toLowerCase().split(',')) {
    const [named = '', ...parameters] = member.split(';').map(trimBlanks);
    // RFC 9110 §8.4.1.3
    const name = named === 'x-gzip' ? 'gzip' : named;
    if (name !== coding && name !== '*') continue;
    const isRefused = parameters.some((parameter) => /^q[\t ]*=[\t ]*0(?:\.0*)?$/.test(parameter));
    if (name === coding) return !isRefused;
    any = !isRefused;
  }
  return any;
}
