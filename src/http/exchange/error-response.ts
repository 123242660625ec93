/** The gateway's own answers: a small page with the status and its reason, which never repeats the request. */

import type { Fields } from '../semantics/fields.ts';
import { reasonPhrase } from '../semantics/status.ts';
import type { Exchange } from './exchange.ts';

interface ErrorPage {
  readonly fields: Fields;
  readonly body: Uint8Array;
}

/** Light or dark as the reader's system is, and as wide as a telephone. */
const STYLE =
  ':root{color-scheme:light dark}body{font:1rem/1.6 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1.25rem}';

/** What a page says beside status and reason (RFC 9110 §15.6, §15.6.6). */
const HINTS: ReadonlyMap<number, string> = new Map([
  [503, 'This will not last: please try again in a moment.'],
  [505, 'HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here.'],
]);
/** Seconds. A lost state is replaced sooner, but one second is the smallest value of the field. */
const RETRY_AFTER_SECONDS = '1';

const pages = new Map<number, ErrorPage>();

/**
 * The page of a status; made once, since only some twenty codes exist. With the id under which the log speaks of the
 * exchange, it is a page of its own.
 */
export function errorPage(status: number, errorId?: string): ErrorPage {
  if (errorId !== undefined) return makePage(status, errorId);
  let page = pages.get(status);
  if (page === undefined) {
    page = makePage(status);
    pages.set(status, page);
  }
  return page;
}

/** Answers an exchange whose head has not been given with the page of `status`, with `fields` beside those of the page. */
export function respondWithError(exchange: Exchange, status: number, fields?: Fields): void {
  const page = errorPage(status);
  exchange.head(status, fields === undefined ? page.fields : [...page.fields, ...fields]);
  exchange.write(page.body);
  exchange.end();
}

function makePage(status: number, errorId?: string): ErrorPage {
  const title = `${status} ${reasonPhrase(status)}`;
  const id = errorId === undefined ? '' : `<p>Error id: ${escapeText(errorId)}</p>`;
  const hint = HINTS.get(status);
  const body = Buffer.from(
    `<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">` +
      `<title>${title}</title><style>${STYLE}</style></head>\n` +
      `<body><h1>${title}</h1>${hint === undefined ? '' : `<p>${hint}</p>`}${id}</body>\n</html>\n`,
    'latin1',
  );
  const fields = ['content-type', 'text/html; charset=utf-8', 'content-length', String(body.length)];
  if (status === 503) fields.push('retry-after', RETRY_AFTER_SECONDS);
  return { fields, body };
}

function escapeText(text: string): string {
  return text.replaceAll(/[^\w.-]/g, (character) => `&#${character.charCodeAt(0)};`);
}
