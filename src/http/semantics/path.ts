/** Request targets: reduced to origin form, split at the query, decoded once, normalised. */

/** A target after splitting and decoding. */
export interface SplitTarget {
  /** Decoded; starts with exactly one `/` unless the target had none (`*`). A byte string. */
  readonly path: string;
  /** The undecoded text after the first `?`; undefined when there is none. */
  readonly query: string | undefined;
}

/** Splits a target in origin form. Undefined when its path contains a NUL byte (`%00`): the request is malformed. */
export function splitTarget(target: string): SplitTarget | undefined {
  const mark = target.indexOf('?');
  const rawPath = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? undefined : target.slice(mark + 1);
  let path = rawPath.includes('%') ? percentDecode(rawPath) : rawPath;
  if (path.includes('\0')) return undefined;
  if (path.charCodeAt(1) === SLASH && path.charCodeAt(0) === SLASH) path = collapseLeadingSlashes(path);
  return { path, query };
}

/** What an absolute-form target says: its authority, and the rest in origin form. */
export interface AbsoluteTarget {
  readonly scheme: 'https' | 'http';
  readonly authority: string;
  readonly target: string;
}

/** Reduces `http://host:port/path?query` to its parts (RFC 9112 §3.2.2); undefined for every other form. */
export function splitAbsoluteForm(target: string): AbsoluteTarget | undefined {
  if (target.charCodeAt(0) === SLASH) return undefined;
  // a fragment is no part of a target (RFC 9112 §3.2.2)
  const match = /^http(s?):\/\/([^/?#]*)([^#]*)$/is.exec(target);
  if (match === null) return undefined;
  const rest = match[3] as string;
  return {
    scheme: match[1] === '' ? 'http' : 'https',
    authority: match[2] as string,
    target: rest.startsWith('/') ? rest : `/${rest}`,
  };
}

const SLASH = 47;

/** Decodes `%XX` to single bytes; what is no valid escape stays as it is. */
function percentDecode(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function collapseLeadingSlashes(path: string): string {
  let at = 1;
  while (path.charCodeAt(at) === SLASH) at += 1;
  return path.slice(at - 1);
}

/** `%XX` for a character that stands for one byte (RFC 3986 §2.1). */
export function percentEncodeByte(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}
