/** Says which requests are refused because of their method, their expectation or their content-length. */
import { isKnownMethod } from '../semantics/methods.ts';

/** Returns the status that refuses a request; 0 when the request is served. `expect`: the lower-case value of the field. */
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

/** The only expectation that RFC 9110 §10.1.1 defines. */
export const CONTINUE = '100-continue';
