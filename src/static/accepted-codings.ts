/** Which precompressed forms a client takes, remembered by the value of its Accept-Encoding: few values come again and again. */
import { preferredCodings } from '../http/semantics/accept-encoding.ts';
import type { Coding } from './file-answer.ts';

/** The order counts among those that a client likes alike. */
const CODINGS = ['br', 'zstd', 'gzip'] as const;
const NONE: readonly Coding[] = [];

/** Browsers send a handful of values; others may send what they like (values). */
const VALUES_MAX = 64;
/** A longer value is read anew each time (bytes). */
const VALUE_BYTES_MAX = 256;

const known = new Map<string, readonly Coding[]>();

/** The codings that the client takes and likes no less than the file as it is, its favourite first. */
export function codingsOf(accepted: string | undefined): readonly Coding[] {
  if (accepted === undefined) return NONE;
  const before = known.get(accepted);
  if (before !== undefined) return before;
  const codings = preferredCodings(accepted, CODINGS);
  if (accepted.length > VALUE_BYTES_MAX) return codings;
  if (known.size >= VALUES_MAX) known.clear();
  known.set(accepted, codings);
  return codings;
}
