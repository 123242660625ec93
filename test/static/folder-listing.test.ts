/** The page of a folder: names that are markup, no UTF-8 or a trick of writing, and how much one page shows. */
import { doesNotMatch, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import type { FolderEntry } from '../../src/file/folder.ts';
import { listingPage } from '../../src/static/folder-listing.ts';

function entry(name: string, kind: 'file' | 'directory' = 'file', modifiedMs = 0): FolderEntry {
  const facts = { kind, size: 7, modifiedMs, changedMs: 0, device: 1, inode: 1 };
  return { name: Buffer.from(name).toString('latin1'), facts };
}

test('Names are text and their links are encoded', () => {
  const page = listingPage('/a&<b>/', {
    entries: [entry('<script>"\'&.txt'), entry('ä b', 'directory'), entry('javascript:x')],
    isCut: false,
  }).toString();
  doesNotMatch(page, /<script|<b>/);
  match(page, /<h1>Index of \/a&#38;&#60;b&#62;\/<\/h1>/);
  match(page, /<a href="\.\/%3Cscript%3E%22%27%26\.txt">&#60;script&#62;&#34;&#39;&#38;\.txt<\/a>/);
  match(page, /<a href="\.\/%C3%A4%20b\/">ä b\/<\/a>/);
  match(page, /<a href="\.\/javascript%3Ax">/);
});

test('A name that is no UTF-8, or turns the direction of writing, is shown with what stands for no character', () => {
  const raw: FolderEntry = { ...entry('x'), name: '\xff.txt' };
  const page = listingPage('/', { entries: [raw, entry('a\u202egpj.exe'), entry('b\nc')], isCut: false });
  match(page.toString(), /<a href="\.\/%FF\.txt">\ufffd\.txt<\/a>/);
  match(page.toString(), />a&#65533;gpj\.exe</);
  match(page.toString(), /<a href="\.\/b%0Ac">b&#65533;c<\/a>/);
});

test('The top has no way up, a cut list says so, and a time that is none is left out', () => {
  const odd = listingPage('/', { entries: [entry('x', 'file', Number.NaN)], isCut: true }).toString();
  doesNotMatch(odd, /\.\.\//);
  match(odd, /There are more than these 1\./);
  const below = listingPage('/a/', { entries: [], isCut: false }).toString();
  match(below, /<a href="\.\.\/">/);
  doesNotMatch(below, /There are more/);
  equal(below.includes('<table>'), true);
});
