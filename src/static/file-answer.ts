/** A regular file as the answer of an exchange: opens the best form of it that is there, gives the head, copies the bytes. */
import type { GatewayError } from '../base/errors.ts';
import type { ByteFile } from '../file/byte-file.ts';
import { type Copy, copyBytes } from '../file/copy-bytes.ts';
import { describeAction, FileError, isAbsence } from '../file/file-error.ts';
import { OpenFile } from '../file/open-file.ts';
import { errnoOf } from '../file/strerror.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import { attachment } from '../http/semantics/content-disposition.ts';
import { type Fields, fieldValue } from '../http/semantics/fields.ts';
import { mediaTypeOf } from '../http/semantics/media-type.ts';
import {
  contentRange,
  lastModified,
  type Representation,
  type Selection,
  select,
} from '../http/semantics/representation.ts';

export type Coding = 'br' | 'gzip' | 'zstd';

/** A form of the file: itself, or a smaller one beside it. */
export interface Candidate {
  readonly name: string;
  readonly coding: Coding | undefined;
}

/** The form that is sent. */
export interface Chosen {
  readonly coding: Coding | undefined;
  readonly representation: Representation;
  readonly selection: Selection;
}

export type FileSent = GatewayError | { readonly bytes: number; readonly status: number };

interface FileAnswerOptions {
  readonly exchange: Exchange;
  /** For messages. */
  readonly name: string;
  /** One at least, the best first. */
  readonly candidates: readonly Candidate[];
  readonly open: (
    name: string,
    done: (error: FileError | undefined, file: ByteFile | undefined) => void,
  ) => { cancel(): void };
  /** Asked once, of the file that is sent. */
  readonly describe: (file: OpenFile, coding: Coding | undefined) => Representation;
  /** Gives the head, where none has been given before. */
  readonly giveHead: (chosen: Chosen) => void;
  /** A disk, or a server of files, that has not answered for so long is given up; undefined: whoever asks has a limit of his own. */
  readonly silenceMsMax?: number;
  /** Called once. The exchange has not been ended. */
  readonly done: (sent: FileSent) => void;
}

export class FileAnswer {
  readonly #options: FileAnswerOptions;
  #tried = 0;
  #cancel: () => void = () => undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor(options: FileAnswerOptions) {
    this.#options = options;
  }

  /** To be called once: opens the best form that is left. */
  start(): void {
    const { candidates, open, done } = this.#options;
    const candidate = candidates[this.#tried] as Candidate;
    this.#tried += 1;
    this.#await(() => true);
    const opening = open(candidate.name, (error, file) => {
      clearTimeout(this.#deadline);
      const failure = error ?? this.#refusalOf(file as ByteFile);
      if (failure === undefined) this.#send(file as OpenFile, candidate);
      // what the machine lacks or fails in is no reason to send another form
      else if (this.#tried < candidates.length && isAbsence(failure)) this.start();
      else done(failure);
    });
    this.#cancel = () => opening.cancel();
  }

  /** `done` is not called any more, the file is closed. */
  cancel(): void {
    clearTimeout(this.#deadline);
    this.#cancel();
  }

  /** The system is asked from now on. `stillWaits` says whether it has not answered, when the time is over. */
  #await(stillWaits: () => boolean): void {
    const { silenceMsMax, name, done } = this.#options;
    if (silenceMsMax === undefined) return;
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      if (!stillWaits()) return;
      this.cancel();
      const text = `the file system has not answered for ${silenceMsMax / 1000} seconds`;
      done(new FileError(describeAction('send', name), errnoOf('ETIMEDOUT'), text));
    }, silenceMsMax);
  }

  /** Only regular files have a size to announce; whatever else it is is closed. */
  #refusalOf(file: ByteFile): FileError | undefined {
    if (file instanceof OpenFile && file.kind === 'regular') return undefined;
    file.destroy();
    const action = describeAction('send', this.#options.name);
    if (file instanceof OpenFile && file.kind === 'directory')
      return new FileError(action, errnoOf('EISDIR'));
    return new FileError(action, errnoOf('EINVAL'), 'it is not a regular file');
  }

  #send(file: OpenFile, { coding }: Candidate): void {
    const { exchange, describe, giveHead } = this.#options;
    const representation = describe(file, coding);
    let selection: Selection = { status: 200, start: 0, end: representation.size };
    if (!exchange.headGiven) {
      selection = select(exchange.method, exchange.fields, representation);
      giveHead({ coding, representation, selection });
    }
    const wanted = exchange.method === 'HEAD' ? 0 : selection.end - selection.start;
    this.#cancel = () => file.destroy();
    const { start } = selection;
    if (start === 0 || wanted === 0) this.#copy(file, wanted);
    else {
      file.seek('set', start, (error) => {
        if (error === undefined) this.#copy(file, wanted);
        else this.#finish(file, error);
      });
    }
  }

  #copy(file: OpenFile, wanted: number): void {
    const { exchange, name } = this.#options;
    const ended = (error: GatewayError | undefined, bytes: number): void => {
      if (error !== undefined) this.#finish(file, error);
      else if (bytes === wanted) this.#finish(file, { bytes, status: exchange.status });
      else {
        const action = describeAction('send', name);
        const text = `it ended after ${bytes} of ${wanted} bytes`;
        this.#finish(file, new FileError(action, errnoOf('EIO'), text));
      }
    };
    const copy: Copy = copyBytes(file, exchange, wanted, ended, () => this.#await(() => copy.waitsForSource));
    this.#cancel = () => {
      copy.cancel();
      file.destroy();
    };
  }

  #finish(file: OpenFile, sent: FileSent): void {
    clearTimeout(this.#deadline);
    file.destroy();
    this.#options.done(sent);
  }
}

interface FieldOptions {
  readonly name: string;
  /** Default: by the ending of the name. */
  readonly type?: string | undefined;
  /** True, or the name to save it under. */
  readonly download?: boolean | string;
  /** The time of its last change is told. */
  readonly isDated?: boolean;
  /** Other clients may get another form of it. */
  readonly varies: boolean;
  /** Flat names and values, which come before those that follow from the file. */
  readonly headers: Fields;
}

/** The fields of the head. */
export function fileFields(
  { name, type, download = false, isDated = true, varies, headers }: FieldOptions,
  { coding, representation, selection }: Chosen,
): string[] {
  const { status, start, end } = selection;
  const fields: string[] = [];
  const add = (field: string, value: string | undefined): void => {
    if (value === undefined || fieldValue(headers, field) !== undefined) return;
    if (!(hasNoContent(status) && CONTENT_FIELD.test(field))) fields.push(field, value);
  };
  add('content-type', type ?? mediaTypeOf(name));
  add('content-encoding', coding);
  if (download !== false) add('content-disposition', attachment(download === true ? name : download));
  if (isDated) add('last-modified', lastModified(representation.modifiedMs));
  add('etag', representation.etag);
  if (representation.ranges) add('accept-ranges', 'bytes');
  if (varies) add('vary', 'accept-encoding');
  for (let i = 0; i < headers.length; i += 2) {
    const field = headers[i] as string;
    const isContent = CONTENT_FIELD.test(field.toLowerCase());
    if (!(hasNoContent(status) && isContent)) fields.push(field, headers[i + 1] as string);
  }
  const range = contentRange(selection, representation.size);
  if (range !== undefined) fields.push('content-range', range);
  if (status !== 304) fields.push('content-length', String(end - start));
  return fields;
}

/** Of no use with 304 (RFC 9110 §15.4.5), or wrong with 412 and 416, which have no content of the file. */
const CONTENT_FIELD = /^content-(?!location$)/;

function hasNoContent(status: Selection['status']): boolean {
  return status === 304 || status === 412 || status === 416;
}
