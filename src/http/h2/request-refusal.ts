/** Which requests are refused because of what their head asks for, whichever layer speaks HTTP/2. */
import { isKnownMethod } from '../semantics/methods.ts';

/** The status that refuses a request; 0 when it is served. `expect`: the lower-case value of the field. */
export function refusalOf(
  method: string,
  expect: string | undefined,
  declaredLength: number | undefined,
  bodyBytesMax: number,
): number {
  if (!isKnownMethod(method)) return 501;
  if (expect !== undefined && expect !== CONTINUE) return 417;
  return declaredLength !== undefined && declaredLength > bodyBytesMax ? 413 : 0;
}

/** The one expectation there is (RFC 9110 §10.1.1). */
export const CONTINUE = '100-continue';
