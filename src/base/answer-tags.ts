/** Tags by which answers that are kept can be purged: what servers name in `cache-tag` and `surrogate-key`, and scripts in options. */

/** Of one answer or value. */
export const TAGS_MAX = 64;
/** Bytes of a tag. */
export const TAG_BYTES_MAX = 256;

/** Fields of answers list tags with blanks or commas between them. */
export function isTag(text: string): boolean {
  return /^[^\s,]+$/.test(text);
}
