/** Encodings of byte strings for `httpd.encode`, `httpd.decode` and `httpd.query`. One character is one byte. */

/** Pairs of a decoded query in order; a value of `true` is a name without `=`. */
export type QueryPairs = (readonly [name: string, value: string | true])[];

/** Pairs of one query string; a longer one is an attack on hash tables, not a form. */
const QUERY_PAIRS_MAX = 1000;

type Codec = (text: string) => string | undefined;

const HTML_ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Encoders by kind. */
export const ENCODERS: Readonly<Record<string, (text: string) => string>> = {
  base64: (text) => Buffer.from(text, 'latin1').toString('base64'),
  base64url: (text) => Buffer.from(text, 'latin1').toString('base64url'),
  hex: (text) => Buffer.from(text, 'latin1').toString('hex'),
  // RFC 3986 §2.3: everything but unreserved characters
  url: (text) => text.replace(/[^A-Za-z0-9\-._~]/g, percentEncode),
  // application/x-www-form-urlencoded: a blank is "+"
  query: (text) => text.replace(/[^A-Za-z0-9\-._~ ]/g, percentEncode).replaceAll(' ', '+'),
  html: (text) => text.replace(/[&<>"']/g, (character) => HTML_ESCAPES[character] as string),
};

/** Decoders by kind; undefined for what is not validly encoded. */
export const DECODERS: Readonly<Record<string, Codec>> = {
  base64: (text) => {
    const body = text.replace(/[\r\n]/g, '');
    return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/.test(body)
      ? Buffer.from(body, 'base64').toString('latin1')
      : undefined;
  },
  base64url: (text) =>
    /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2,3})?$/.test(text)
      ? Buffer.from(text, 'base64url').toString('latin1')
      : undefined,
  hex: (text) =>
    /^(?:[0-9A-Fa-f]{2})*$/.test(text) ? Buffer.from(text, 'hex').toString('latin1') : undefined,
  url: percentDecode,
  query: (text) => percentDecode(text.replaceAll('+', ' ')),
};

/** Splits `a=1&b&c=2`; undefined when it holds an invalid escape or too many pairs. */
export function parseQuery(query: string): QueryPairs | undefined {
  const pairs: QueryPairs = [];
  for (const part of query.split('&')) {
    if (part === '') continue;
    if (pairs.length === QUERY_PAIRS_MAX) return undefined;
    const at = part.indexOf('=');
    const name = percentDecode((at === -1 ? part : part.slice(0, at)).replaceAll('+', ' '));
    const value = at === -1 ? true : percentDecode(part.slice(at + 1).replaceAll('+', ' '));
    if (name === undefined || value === undefined) return undefined;
    pairs.push([name, value]);
  }
  return pairs;
}

function percentEncode(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

function percentDecode(text: string): string | undefined {
  if (!text.includes('%')) return text;
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return undefined;
  return text.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
