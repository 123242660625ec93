/** The field that makes a browser save what it gets, with a name for it (RFC 6266, RFC 8187). */
import { isUtf8 } from 'node:buffer';

/** `attachment; filename="…"; filename*=UTF-8''…` for a name of bytes (one a character), without its folders. */
export function attachment(name: string): string {
  const bytes = Buffer.from(name.slice(name.lastIndexOf('/') + 1), 'latin1');
  const text = isUtf8(bytes) ? bytes.toString() : bytes.toString('latin1');
  // the old form is for clients that know nothing else: what is not plain is replaced
  const plain = text.replace(/[^\x20-\x7e]/gu, '_').replace(/["\\%]/g, '_');
  if (plain === text) return `attachment; filename="${plain}"`;
  return `attachment; filename="${plain}"; filename*=UTF-8''${percentEncode(text)}`;
}

/** Everything but attr-char of RFC 8187 §3.2.1. */
function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
