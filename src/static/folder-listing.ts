/** The page that lists what is in a folder: names as links, sizes and times. */
import type { FolderEntry, FolderList } from '../file/folder.ts';
import { encodePath } from './static-path.ts';

/** Names of one page: each has to be looked at. */
export const LISTING_ENTRIES_MAX = 1_000;

/** Light or dark as the reader's system is, as the pages of errors are. */
const STYLE =
  ':root{color-scheme:light dark}body{font:1rem/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1.25rem}' +
  'table{border-collapse:collapse}td{padding:0 1.5rem 0 0}td+td{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}';

/** `directory`: below the mapping, with its `/` at the end; a byte string. */
export function listingPage(directory: string, { entries, isCut }: FolderList): Buffer {
  const title = `Index of ${escapeHtml(textOf(directory))}`;
  const rows = entries.map(rowOf);
  if (directory !== '/') rows.unshift('<tr><td><a href="../">../</a></td><td></td><td></td></tr>\n');
  const note = isCut ? `<p>There are more than these ${entries.length}.</p>` : '';
  return Buffer.from(
    `<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">` +
      `<title>${title}</title><style>${STYLE}</style></head>\n` +
      `<body><h1>${title}</h1>\n<table>\n${rows.join('')}</table>${note}</body>\n</html>\n`,
  );
}

function rowOf({ name, facts }: FolderEntry): string {
  const isDirectory = facts.kind === 'directory';
  const slash = isDirectory ? '/' : '';
  // with `./` before it a name with a colon is no scheme
  const link = `./${encodePath(name)}${slash}`;
  const size = isDirectory ? '' : String(facts.size);
  return (
    `<tr><td><a href="${link}">${escapeHtml(textOf(name))}${slash}</a></td>` +
    `<td>${size}</td><td>${timeOf(facts.modifiedMs)}</td></tr>\n`
  );
}

/** To the minute, in UTC. */
function timeOf(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString().slice(0, 16).replace('T', ' ');
}

/** Names are bytes, and most are UTF-8. */
function textOf(name: string): string {
  return Buffer.from(name, 'latin1').toString();
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"'\p{Cc}\p{Cf}]/gu, (character) => `&#${replacedBy(character)};`);
}

/** A control character is no text, and one that turns the direction of writing makes a name look like another. */
function replacedBy(character: string): number {
  return /[\p{Cc}\p{Cf}]/u.test(character) ? REPLACEMENT : character.charCodeAt(0);
}

const REPLACEMENT = 0xfffd;
