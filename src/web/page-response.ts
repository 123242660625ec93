/** The gateway's own page of a status as the Response of a handler, in the form that the client wants. */
import { errorPage } from '../http/exchange/error-response.ts';
import type { Fields } from '../http/semantics/fields.ts';
import { makeLightResponse } from './light-response.ts';

/** `more`: fields beside those of the page, names in lower case. */
export function pageResponse(status: number, { headers }: Request, more: Fields = []): Response {
  const accept = headers.get('accept');
  const { fields, body } = errorPage(status, accept === null ? [] : ['accept', accept]);
  return makeLightResponse({ status, statusText: '', fields: [...fields, ...more], body });
}
