/** Answers a request with a form of a file: from memory, or from the file itself as it is read. */

import { LentContent } from '../base/lent-content.ts';
import type { FolderFacts } from '../file/folder.ts';
import { OperationOwner } from '../file/operation-queue.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import { type Fields, isNamed } from '../http/semantics/fields.ts';
import { mediaTypeOf } from '../http/semantics/media-type.ts';
import { type Selection, select } from '../http/semantics/representation.ts';
import { FileAnswer, type FileSent } from './file-answer.ts';
import {
  type Content,
  type FormParts,
  FRESH_MS,
  NO_SNIFFING,
  SILENCE_MS_MAX,
  type StaticForm,
} from './static-form.ts';

/** The fields that may make another answer than the whole file of a GET or HEAD (RFC 9110 §13, §14). */
const CONDITIONS = [
  'range',
  'if-none-match',
  'if-modified-since',
  'if-range',
  'if-match',
  'if-unmodified-since',
];
const CONDITION_LENGTHS: readonly boolean[] = Array.from({ length: 20 }, (_, length) =>
  CONDITIONS.some((name) => name.length === length),
);

/** Answers with what is in memory. */
export function sendContent(exchange: Exchange, form: StaticForm, content: Content): void {
  const isHead = exchange.method === 'HEAD';
  if (!hasCondition(exchange.fields)) {
    exchange.head(200, form.heads.whole);
    if (!isHead) write(exchange, content);
    exchange.end();
    return;
  }
  const selection = select(exchange.method, exchange.fields, form.representation);
  const { status, start, end } = selection;
  exchange.head(status, headOf(form, selection));
  if (!isHead && end > start) write(exchange, content, start, end);
  exchange.end();
}

/** Says that nothing is there with a page of the folder. It is not what was asked for, so it has no tag, no parts and no conditions. */
export function sendNotFound(exchange: Exchange, name: string, content: Content): void {
  const length = String(content.length);
  exchange.head(404, ['content-type', mediaTypeOf(name), ...NO_SNIFFING, 'content-length', length]);
  if (exchange.method !== 'HEAD') write(exchange, content);
  exchange.end();
}

function headOf(form: StaticForm, selection: Selection): Fields {
  if (selection.status === 200) return form.heads.whole;
  if (selection.status === 304) return form.heads.unchanged;
  return form.fieldsOf(form.representation, selection, Date.now());
}

/** Nobody changes the bytes any more: however many answers wait for their clients, they are in memory once. */
function write(exchange: Exchange, content: Content, start = 0, end: number = content.length): void {
  if (typeof content === 'string') writeText(exchange, content.slice(start, end));
  else if (content instanceof LentContent) {
    content.lend();
    exchange.onClose = () => content.giveBack();
    writeOwned(exchange, content.bytes.subarray(start, end));
  } else writeOwned(exchange, content.subarray(start, end));
}

function writeText(exchange: Exchange, text: string): void {
  if (exchange.writeText === undefined) exchange.write(Buffer.from(text, 'latin1'));
  else exchange.writeText(text);
}

function writeOwned(exchange: Exchange, bytes: Buffer): void {
  if (exchange.writeOwned === undefined) exchange.write(bytes);
  else exchange.writeOwned(bytes);
}

/**
 * Answers with a file that is read as it is sent. The head says what the file is that was opened, which may be another one than
 * somebody has looked at. Without content to send nothing is opened.
 */
export function streamFile(
  exchange: Exchange,
  form: StaticForm,
  { folder, fileSystem, share }: FormParts,
  done: (sent: FileSent) => void,
): void {
  const known = select(exchange.method, exchange.fields, form.representation);
  if (exchange.method === 'HEAD' || known.end === known.start) {
    exchange.head(known.status, headOf(form, known));
    done({ bytes: 0, status: known.status });
    return;
  }
  const owner = new OperationOwner(share);
  const openedAt = Date.now();
  let facts: FolderFacts | undefined;
  const answer = new FileAnswer({
    exchange,
    name: form.name,
    candidates: [{ name: form.name, coding: form.coding }],
    open: (name, opened) => {
      let cancelled = false;
      let opening: { cancel(): void } | undefined;
      folder.find(performance.now() - FRESH_MS, (failure, found) => {
        if (cancelled) return;
        if (found === undefined) opened(failure, undefined);
        else
          opening = fileSystem.openIn(
            found,
            name,
            (error, file, now) => {
              facts = now;
              opened(error, file);
            },
            owner,
          );
      });
      return {
        cancel: () => {
          cancelled = true;
          opening?.cancel();
        },
      };
    },
    describe: () => form.representationOf(facts as FolderFacts, openedAt),
    giveHead: ({ representation, selection }) =>
      exchange.head(selection.status, form.fieldsOf(representation, selection, openedAt)),
    silenceMsMax: SILENCE_MS_MAX,
    done,
  });
  exchange.onAbort = () => answer.cancel();
  answer.start();
}

function hasCondition(fields: Fields): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (CONDITION_LENGTHS[name.length] === true && CONDITIONS.some((wanted) => isNamed(name, wanted)))
      return true;
  }
  return false;
}
