/** Which kind of form the Content-Type of a request announces. */
import { BOUNDARY_LENGTH_MAX } from './form-limits.ts';
import { parseParameters } from './parameters.ts';

export type FormType =
  | { readonly kind: 'urlencoded' }
  | { readonly kind: 'multipart'; readonly boundary: string };

/** The characters of a boundary, of which a blank is not the last (RFC 2046 §5.1.1). */
const BOUNDARY = /^[0-9A-Za-z'()+_,\-./:=? ]*[0-9A-Za-z'()+_,\-./:=?]$/;

/** Undefined: none, or one whose boundary cannot be used. */
export function readFormType(contentType: string | undefined): FormType | undefined {
  const type = contentType === undefined ? undefined : parseParameters(contentType);
  if (type?.value === 'application/x-www-form-urlencoded') return { kind: 'urlencoded' };
  if (type?.value !== 'multipart/form-data') return undefined;
  const boundary = type.parameters.get('boundary') ?? '';
  if (boundary.length > BOUNDARY_LENGTH_MAX || !BOUNDARY.test(boundary)) return undefined;
  return { kind: 'multipart', boundary };
}
