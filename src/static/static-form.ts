/** One form of what a path stands for, as it was when somebody last looked: the file itself, or a precompressed one beside it. */
import { createHash } from 'node:crypto';
import { LentContent, type Loans } from '../base/lent-content.ts';
import { type FileError, isAbsence } from '../file/file-error.ts';
import type { FileSystem } from '../file/file-system.ts';
import { type Folder, type FolderFacts, type FolderList, isSame, type Looked } from '../file/folder.ts';
import { OperationOwner } from '../file/operation-queue.ts';
import type { Fields } from '../http/semantics/fields.ts';
import { isSettled, type Representation, type Selection } from '../http/semantics/representation.ts';
import type { Share } from '../mapping/shares.ts';
import type { StaticSettings } from '../mapping/static-settings.ts';
import type { CurrentFolder } from './current-folder.ts';
import { type Coding, fileFields } from './file-answer.ts';
import { LISTING_ENTRIES_MAX, listingPage } from './folder-listing.ts';

/** What was found is taken for true for so long; as nginx's open_file_cache_valid, but short enough that nobody notices. */
export const FRESH_MS = 1_000;

/** A disk, or a server of files, that has not answered for so long is given up by the request; what it was asked for cannot be. */
export const SILENCE_MS_MAX = 30_000;

/** Files up to this size are always answered from memory: an answer holds as much anyway (bytes). */
export const SMALL_BYTES_MAX: number = 64 * 1024;

/**
 * Files up to this size are answered from memory where there is room, which takes a third of the processor time of reading them as they
 * are sent (the scenario static-1m). Larger ones would push too much else out (bytes).
 */
const CONTENT_BYTES_MAX: number = 1024 * 1024;

/** Content up to this size is kept as a byte string, which costs less to send than a small Buffer (bytes). */
const TEXT_BYTES_MAX = 4 * 1024;

/** Characters of a tag that is made of the content: 132 bits of SHA-256. */
const TAG_CHARACTERS = 22;

/** A file is what its type says, whatever a browser finds in it. */
export const NO_SNIFFING = ['x-content-type-options', 'nosniff'] as const;
/** A list has no scripts, and is asked for again each time. */
const LISTING_HEADERS = [
  ...NO_SNIFFING,
  ...['cache-control', 'no-cache'],
  ...['content-security-policy', "default-src 'none'; style-src 'unsafe-inline'"],
] as const;

/** What all forms of a mapping have in common. */
export interface FormParts {
  readonly folder: CurrentFolder;
  readonly fileSystem: FileSystem;
  readonly share: Share;
  readonly settings: StaticSettings;
  readonly loans: Loans;
}

/** Where a form may be found. */
export interface FormPlace {
  /** The first of them that is a regular file. */
  readonly names: readonly string[];
  /** The directory that the names stand for, with its `/` at the end; undefined for the name of a file. */
  readonly directory: string | undefined;
  readonly coding: Coding | undefined;
  /** The file that this is a form of, whose media type it has; undefined: it is the file itself. */
  readonly original: string | undefined;
  /** Called when somebody has looked, before those who wait for it. */
  readonly onChecked: () => void;
}

/** Short content is a byte string, and more than SMALL_BYTES_MAX is counted as long as it is sent. */
export type Content = string | Buffer | LentContent;

type Checked = (error: FileError | undefined) => void;

/** The heads of the answers that come again and again. */
interface Heads {
  readonly whole: Fields;
  readonly unchanged: Fields;
}

export class StaticForm {
  /** `unknown` until somebody has looked, and when that has failed. */
  state: 'unknown' | 'absent' | 'directory' | 'file' = 'unknown';
  /** Below the folder (`/a/b`); of a list, that of its directory. */
  name = '';
  /** All of it, where it is small: short content as a byte string. */
  content: Content | undefined;
  readonly #parts: FormParts;
  readonly #place: FormPlace;
  #facts: FolderFacts | undefined;
  /** Its facts tell it from all that was there before. */
  #isSettled = false;
  #heads: Heads | undefined;
  #representation: Representation | undefined;
  #checkedAt = Number.NEGATIVE_INFINITY;
  /** Those who wait for the look that is under way; undefined: none is. */
  #waiting: Checked[] | undefined;

  constructor(parts: FormParts, place: FormPlace) {
    this.#parts = parts;
    this.#place = place;
  }

  get coding(): Coding | undefined {
    return this.#place.coding;
  }

  /** It is a list of what is in a directory. */
  get isListing(): boolean {
    return this.name.endsWith('/');
  }

  /** What is known was true at `notBefore` (performance.now()) or later. */
  isKnownSince(notBefore: number): boolean {
    return this.#checkedAt >= notBefore && this.state !== 'unknown';
  }

  get heads(): Heads {
    return this.#heads as Heads;
  }

  get representation(): Representation {
    return this.#representation as Representation;
  }

  /** Bytes that it holds. */
  get bytes(): number {
    return this.content?.length ?? 0;
  }

  /** Looks at what is there now. */
  check(checked: Checked): void {
    if (this.#waiting !== undefined) {
      this.#waiting.push(checked);
      return;
    }
    this.#waiting = [checked];
    const look = {
      startedAt: performance.now(),
      date: Date.now(),
      owner: new OperationOwner(this.#parts.share),
    };
    this.#parts.folder.find(look.startedAt - FRESH_MS, (error, folder) => {
      if (folder === undefined) this.#failed(error as FileError, look);
      else this.#lookAt(folder, 0, look);
    });
  }

  /** Its content is not kept any more. */
  forget(): void {
    if (this.content instanceof LentContent) this.content.drop();
  }

  /** Somebody who waits for a look does not wait any more. */
  cancel(checked: Checked): void {
    const at = this.#waiting?.indexOf(checked) ?? -1;
    if (at !== -1) this.#waiting?.splice(at, 1);
  }

  /** The fields of an answer that is not one of `heads`. `now` (Date.now()): when somebody has looked at the file. */
  fieldsOf(representation: Representation, selection: Selection, now: number): string[] {
    const { coding, original } = this.#place;
    const { isListing } = this;
    const { cacheControl } = this.#parts.settings;
    let headers: Fields = isListing ? LISTING_HEADERS : NO_SNIFFING;
    if (cacheControl !== undefined && !isListing) headers = [...headers, 'cache-control', cacheControl];
    const name = original ?? this.name;
    const type = isListing ? 'text/html; charset=utf-8' : undefined;
    const isDated = !isListing && isSettled(representation.modifiedMs, now);
    return fileFields({ name, type, isDated, varies: true, headers }, { coding, representation, selection });
  }

  /** A file that is not in memory: its tag says all that the system knows of it. `now`: as for `fieldsOf`. */
  representationOf(facts: FolderFacts, now: number): Representation {
    const { size, modifiedMs, changedMs, inode } = facts;
    const parts = [size, Math.floor(modifiedMs * 1000), Math.floor(changedMs * 1000), inode];
    const name = parts.map((part) => part.toString(16)).join('-') + suffixOf(this.coding);
    // what may change unseen has a weak tag (RFC 9110 §8.8.1), which is another than the strong one that follows
    const etag = isSettledFile(facts, now) ? `"${name}"` : `W/"${name}-new"`;
    return { size, modifiedMs, etag, ranges: this.coding === undefined };
  }

  #lookAt(folder: Folder, index: number, look: Look): void {
    const { fileSystem, settings, loans } = this.#parts;
    const { names, directory } = this.#place;
    const name = names[index];
    if (name === undefined) {
      if (settings.listing && directory !== undefined) this.#list(folder, directory, look);
      else this.#finish('absent', look);
      return;
    }
    const isKnown = this.#isSettled && this.name === name && this.content !== undefined;
    const hasRoom = loans.reserve(CONTENT_BYTES_MAX);
    const wanted = {
      bytesMax: hasRoom ? CONTENT_BYTES_MAX : SMALL_BYTES_MAX,
      known: isKnown ? this.#facts : undefined,
    };
    fileSystem.lookIn(
      folder,
      name,
      wanted,
      (error, looked) => {
        if (hasRoom) loans.add(-CONTENT_BYTES_MAX);
        if (error !== undefined && !isAbsence(error)) this.#failed(error, look);
        else if (looked?.facts.kind === 'file') this.#take(name, looked, look);
        else if (looked?.facts.kind === 'directory' && directory === undefined)
          this.#finish('directory', look);
        else this.#lookAt(folder, index + 1, look);
      },
      look.owner,
    );
  }

  #take(name: string, { facts, content }: Looked, look: Look): void {
    const isKept = content === undefined && this.name === name && isSame(facts, this.#facts);
    if (!isKept || !this.#isSettled) {
      this.name = name;
      this.#keep(content);
      // by its size alone, so that a file has one tag whether there is room for it or not
      const isSmall = content !== undefined && content.length <= SMALL_BYTES_MAX;
      const described = content === undefined ? facts : { ...facts, size: content.length };
      const representation = isSmall
        ? this.#representationOfContent(content, facts.modifiedMs)
        : this.representationOf(described, look.date);
      this.#describe(representation, look);
    }
    this.#facts = facts;
    this.#isSettled = isSettledFile(facts, look.date);
    this.#finish('file', look);
  }

  /** Other bytes, or none, take the place of those that are kept. */
  #keep(content: Buffer | undefined): void {
    this.forget();
    if (content === undefined) this.content = undefined;
    else if (content.length <= TEXT_BYTES_MAX) this.content = content.toString('latin1');
    else if (content.length <= SMALL_BYTES_MAX) this.content = content;
    else this.content = new LentContent(content, this.#parts.loans);
  }

  #representationOfContent(content: Uint8Array, modifiedMs: number): Representation {
    const name = createHash('sha256').update(content).digest('base64url').slice(0, TAG_CHARACTERS);
    const etag = `"${name}${suffixOf(this.coding)}"`;
    return { size: content.length, modifiedMs, etag, ranges: this.coding === undefined };
  }

  #describe(representation: Representation, { date }: Look): void {
    const { size } = representation;
    const whole = this.fieldsOf(representation, { status: 200, start: 0, end: size }, date);
    const unchanged = this.fieldsOf(representation, { status: 304, start: 0, end: 0 }, date);
    this.#representation = representation;
    this.#heads = { whole: Object.freeze(whole), unchanged: Object.freeze(unchanged) };
  }

  #list(folder: Folder, directory: string, look: Look): void {
    this.#parts.fileSystem.listIn(
      folder,
      directory,
      LISTING_ENTRIES_MAX,
      (error, list) => {
        if (error !== undefined) this.#failed(error, look);
        else this.#takeList(directory, list as FolderList, look);
      },
      look.owner,
    );
  }

  #takeList(directory: string, list: FolderList, look: Look): void {
    const content = listingPage(directory, list);
    this.name = directory;
    this.#keep(content);
    this.#facts = undefined;
    this.#isSettled = false;
    this.#describe({ ...this.#representationOfContent(content, 0), ranges: false }, look);
    this.#finish('file', look);
  }

  #failed(error: FileError, look: Look): void {
    this.#finish(isAbsence(error) ? 'absent' : 'unknown', look, error);
  }

  #finish(state: StaticForm['state'], { startedAt }: Look, error?: FileError): void {
    if (state !== 'file') {
      this.#keep(undefined);
      this.#facts = undefined;
      this.#isSettled = false;
    }
    this.state = state;
    this.#checkedAt = startedAt;
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    this.#place.onChecked();
    const failure = state === 'unknown' ? error : undefined;
    for (const checked of waiting) checked(failure);
  }
}

/** One look at what is there. */
interface Look {
  /** performance.now() */
  readonly startedAt: number;
  /** Date.now() at the same time. */
  readonly date: number;
  readonly owner: OperationOwner;
}

function suffixOf(coding: Coding | undefined): string {
  return coding === undefined ? '' : `-${coding}`;
}

/** Neither its content nor its place can change any more without another time. */
function isSettledFile({ modifiedMs, changedMs }: FolderFacts, now: number): boolean {
  return isSettled(Math.max(modifiedMs, changedMs), now);
}
