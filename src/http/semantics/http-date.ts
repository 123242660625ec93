/** Dates in HTTP fields: written as an IMF-fixdate, read in any of the three forms (RFC 9110 §5.6.7). */

let cachedSecond = -1;
let cachedDate = '';

/** The current time as an IMF-fixdate, e.g. `Sun, 06 Nov 1994 08:49:37 GMT`; made once a second. */
export function httpDate(now: number = Date.now()): string {
  const second = Math.floor(now / MS_PER_SECOND);
  if (second !== cachedSecond) {
    cachedSecond = second;
    cachedDate = formatHttpDate(now);
  }
  return cachedDate;
}

/** A time of the years 0 to 9999 (milliseconds since 1970) as an IMF-fixdate. */
export function formatHttpDate(ms: number): string {
  return new Date(ms).toUTCString();
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const MONTH = MONTHS.join('|');
const DAY = 'Mon|Tue|Wed|Thu|Fri|Sat|Sun';
const LONG_DAY = 'Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday';
const TIME = '(?<hour>[0-2][0-9]):(?<minute>[0-5][0-9]):(?<second>[0-5][0-9]|60)';

const FORMS = [
  // IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT
  new RegExp(`^(?:${DAY}), (?<day>[0-9]{2}) (?<month>${MONTH}) (?<year>[0-9]{4}) ${TIME} GMT$`),
  // RFC 850: Sunday, 06-Nov-94 08:49:37 GMT
  new RegExp(`^(?:${LONG_DAY}), (?<day>[0-9]{2})-(?<month>${MONTH})-(?<year>[0-9]{2}) ${TIME} GMT$`),
  // asctime: Sun Nov  6 08:49:37 1994
  new RegExp(`^(?:${DAY}) (?<month>${MONTH}) (?<day>[0-9]{2}| [0-9]) ${TIME} (?<year>[0-9]{4})$`),
] as const;

/** The longest form has 33 characters. */
const CHARACTERS_MAX = 40;
/** A year of two digits is never further in the future. */
const FUTURE_YEARS_MAX = 50;
const MS_PER_SECOND = 1000;

/** Seconds since 1970, a whole number; undefined for anything that is none of the three forms or no day of a calendar. */
export function parseHttpDate(text: string, now: number = Date.now()): number | undefined {
  if (text.length > CHARACTERS_MAX) return undefined;
  for (const form of FORMS) {
    const groups = form.exec(text)?.groups;
    if (groups !== undefined) return toSeconds(groups, now);
  }
  return undefined;
}

function toSeconds(groups: Readonly<Record<string, string>>, now: number): number | undefined {
  const day = Number(groups['day']);
  const month = MONTHS.indexOf(groups['month'] ?? '');
  const year = groups['year']?.length === 2 ? fullYear(Number(groups['year']), now) : Number(groups['year']);
  const hour = Number(groups['hour']);
  // Date.UTC takes years below 100 for those of the last century
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  if (date.getUTCMonth() !== month || date.getUTCDate() !== day || hour > 23) return undefined;
  // a leap second counts as the one after it
  date.setUTCHours(hour, Number(groups['minute']), Number(groups['second']));
  return date.getTime() / MS_PER_SECOND;
}

/** The year with these last two digits that is at most fifty years ahead. */
function fullYear(digits: number, now: number): number {
  const current = new Date(now).getUTCFullYear();
  const year = current - (current % 100) + digits;
  return year > current + FUTURE_YEARS_MAX ? year - 100 : year;
}
