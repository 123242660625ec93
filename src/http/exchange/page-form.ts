/** Which form of the gateway's own pages a client wants, by its field Accept (RFC 9110 §12.5.1). */
import { type Fields, fieldValue, trimBlanks } from '../semantics/fields.ts';

/** HTML for readers, a problem for programs (RFC 9457), plain text for whoever wants nothing else. */
export const PAGE_FORMS = ['html', 'problem', 'text'] as const;
export type PageForm = (typeof PAGE_FORMS)[number];

/** Characters. Browsers send some hundred; a client that sends more than this gets HTML. */
const VALUE_LENGTH_MAX = 1024;

/** A range of types without its parameters. */
const RANGE = /^([!#$%&'*+\-.^_`|~0-9a-z]+)\/([!#$%&'*+\-.^_`|~0-9a-z]+)$/;
/** RFC 9110 §12.4.2. */
const WEIGHT = /^q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/;

/** How closely a range names a form: a type, all of one kind, or all. */
const NAMED = 3;
const KIND = 2;
const ANY = 1;

interface Wish {
  closeness: number;
  weight: number;
}

/** HTML where the client does not say, or wants none of the forms. Of equal weights the form that is named goes before others. */
export function pageFormOf(fields: Fields): PageForm {
  const value = fieldValue(fields, 'accept');
  if (value === undefined || value === '*/*' || value.length > VALUE_LENGTH_MAX) return 'html';
  const wishes: Record<PageForm, Wish> = { html: noWish(), problem: noWish(), text: noWish() };
  for (const member of value.toLowerCase().split(',')) {
    const [range = '', ...parameters] = member.split(';').map(trimBlanks);
    const [, type, subtype] = RANGE.exec(range) ?? [];
    const weight = weightOf(parameters);
    if (type === undefined || subtype === undefined || weight === undefined) continue;
    for (const form of PAGE_FORMS) note(wishes[form], closenessOf(form, type, subtype), weight);
  }
  let best: PageForm = 'html';
  for (const form of PAGE_FORMS) if (isMoreWanted(wishes[form], wishes[best])) best = form;
  return best;
}

/** Undefined where it is malformed. */
function weightOf(parameters: readonly string[]): number | undefined {
  const given = parameters.find((parameter) => parameter.startsWith('q='));
  if (given === undefined) return 1;
  const [, weight] = WEIGHT.exec(given) ?? [];
  return weight === undefined ? undefined : Number(weight);
}

function noWish(): Wish {
  return { closeness: 0, weight: 0 };
}

/** The closest range decides, of several alike the one with the highest weight. */
function note(wish: Wish, closeness: number, weight: number): void {
  if (closeness < wish.closeness || closeness === 0) return;
  wish.weight = closeness === wish.closeness ? Math.max(weight, wish.weight) : weight;
  wish.closeness = closeness;
}

function isMoreWanted(one: Wish, other: Wish): boolean {
  if (one.weight !== other.weight) return one.weight > other.weight;
  return (
    one.weight > 0 && (one.closeness === NAMED) !== (other.closeness === NAMED) && one.closeness === NAMED
  );
}

/** 0: the range does not fit the form. Whoever reads some kind of JSON reads problems. */
function closenessOf(form: PageForm, type: string, subtype: string): number {
  if (type === '*' && subtype === '*') return ANY;
  if (type !== (form === 'problem' ? 'application' : 'text')) return 0;
  if (subtype === '*') return KIND;
  if (form === 'html') return subtype === 'html' ? NAMED : 0;
  if (form === 'text') return subtype === 'plain' ? NAMED : 0;
  return subtype === 'json' || subtype.endsWith('+json') ? NAMED : 0;
}
