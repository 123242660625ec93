/**
 * The gateway's own answers: a small page with the status and its reason, which never repeats the request, as HTML, as a problem
 * (RFC 9457) or as text.
 */
import type { Fields } from '../semantics/fields.ts';
import { reasonPhrase } from '../semantics/status.ts';
import type { Exchange } from './exchange.ts';
import { type PageForm, pageFormOf } from './page-form.ts';

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

const TYPES: Readonly<Record<PageForm, string>> = {
  html: 'text/html; charset=utf-8',
  problem: 'application/problem+json',
  text: 'text/plain; charset=utf-8',
};

const WRITERS: Readonly<Record<PageForm, (status: number, errorId: string | undefined) => string>> = {
  html: writeHtml,
  problem: writeProblem,
  text: writeText,
};

const pages: Readonly<Record<PageForm, Map<number, ErrorPage>>> = {
  html: new Map(),
  problem: new Map(),
  text: new Map(),
};

/**
 * The page of a status in the form that a request with these fields wants; made once, since only some twenty codes exist. With the
 * id under which the log speaks of the exchange, it is a page of its own.
 */
export function errorPage(status: number, fields: Fields, errorId?: string): ErrorPage {
  const form = pageFormOf(fields);
  if (errorId !== undefined) return makePage(form, status, errorId);
  let page = pages[form].get(status);
  if (page === undefined) {
    page = makePage(form, status);
    pages[form].set(status, page);
  }
  return page;
}

/**
 * Answers an exchange whose head has not been given with the page of `status`. `fields` (names in lower case) go beside those of the
 * page, and in the place of those with the same name.
 */
export function respondWithError(exchange: Exchange, status: number, fields?: Fields): void {
  const page = errorPage(status, exchange.fields);
  exchange.head(status, fields === undefined ? page.fields : joinFields(page.fields, fields));
  exchange.write(page.body);
  exchange.end();
}

function joinFields(ofPage: Fields, own: Fields): string[] {
  const names = new Set(own.filter((_, i) => i % 2 === 0));
  return [...ofPage.filter((_, i) => !names.has(ofPage[i - (i % 2)] as string)), ...own];
}

function makePage(form: PageForm, status: number, errorId?: string): ErrorPage {
  const body = Buffer.from(WRITERS[form](status, errorId), 'latin1');
  // another client gets another form of it (RFC 9110 §12.5.5)
  const fields = ['content-type', TYPES[form], 'content-length', String(body.length), 'vary', 'accept'];
  if (status === 503) fields.push('retry-after', RETRY_AFTER_SECONDS);
  return { fields, body };
}

function writeHtml(status: number, errorId: string | undefined): string {
  const title = `${status} ${reasonPhrase(status)}`;
  const id = errorId === undefined ? '' : `<p>Error id: ${escapeText(errorId)}</p>`;
  const hint = HINTS.get(status);
  return (
    `<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">` +
    `<title>${title}</title><style>${STYLE}</style></head>\n` +
    `<body><h1>${title}</h1>${hint === undefined ? '' : `<p>${hint}</p>`}${id}</body>\n</html>\n`
  );
}

/** The status says all there is to say, so that the problem has the type that stands for none (RFC 9457 §4.2.1). */
function writeProblem(status: number, errorId: string | undefined): string {
  const problem = {
    type: 'about:blank',
    title: reasonPhrase(status),
    status,
    detail: HINTS.get(status),
    error_id: errorId,
  };
  return `${JSON.stringify(problem)}\n`;
}

function writeText(status: number, errorId: string | undefined): string {
  const lines = [`${status} ${reasonPhrase(status)}`, HINTS.get(status)];
  if (errorId !== undefined) lines.push(`Error id: ${errorId}`);
  return `${lines.filter((line) => line !== undefined).join('\n')}\n`;
}

function escapeText(text: string): string {
  return text.replaceAll(/[^\w.-]/g, (character) => `&#${character.charCodeAt(0)};`);
}
