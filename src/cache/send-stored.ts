/** Answers a client with an answer that is kept: the whole, a part, or that nothing has changed (RFC 9110 §13, §14). */
import type { CacheOutcome, Exchange } from '../http/exchange/exchange.ts';
import { type Fields, isNamed } from '../http/semantics/fields.ts';
import { contentRange, type Selection, select } from '../http/semantics/representation.ts';
import type { StoredAnswer, StoredBody } from './stored-answer.ts';

export function sendStored(
  exchange: Exchange,
  answer: StoredAnswer,
  isConditional: boolean,
  now: number,
  outcome: CacheOutcome = now < answer.rules.freshUntil ? 'hit' : 'stale',
): void {
  const { status, body } = answer;
  exchange.cacheOutcome = outcome;
  if (answer.compression !== undefined) exchange.compression = answer.compression;
  if (!isConditional || status !== 200) {
    exchange.head(status, answer.fieldsAt(now));
    if (exchange.method !== 'HEAD' && body.length > 0) write(exchange, body, 0, body.length);
    exchange.end();
    return;
  }
  const selection = select(exchange.method, exchange.fields, answer.representation);
  exchange.head(selection.status, selectedFields(answer.fieldsAt(now), selection, body.length));
  if (exchange.method !== 'HEAD' && selection.end > selection.start)
    write(exchange, body, selection.start, selection.end);
  exchange.end();
}

/** The head of a selection of an answer with these fields. */
export function selectedFields(fields: Fields, selection: Selection, size: number): Fields {
  const { status, start, end } = selection;
  if (status === 200) return fields;
  const selected: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const isLength = isNamed(name, 'content-length');
    // without content nothing is said of it (RFC 9110 §15.4.5)
    const isLeftOut = status === 206 ? isLength : isLength || /^content-(?!location$)/i.test(name);
    if (!isLeftOut) selected.push(name, fields[i + 1] as string);
  }
  const range = contentRange(selection, size);
  if (range !== undefined) selected.push('content-range', range);
  if (status !== 304) selected.push('content-length', String(end - start));
  return selected;
}

/** Nobody changes the bytes: however many answers wait for their clients, they are in memory once. */
function write(exchange: Exchange, body: StoredBody, start: number, end: number): void {
  if (typeof body === 'string') {
    const text = body.slice(start, end);
    if (exchange.writeText === undefined) exchange.write(Buffer.from(text, 'latin1'));
    else exchange.writeText(text);
    return;
  }
  body.lend();
  const { onClose } = exchange;
  exchange.onClose = () => {
    body.giveBack();
    onClose?.();
  };
  const bytes = body.bytes.subarray(start, end);
  if (exchange.writeOwned === undefined) exchange.write(bytes);
  else exchange.writeOwned(bytes);
}
