/**
 * Puts lines together out of parts. What is the same for all requests with one head is kept with that head as bytes; only times and ids are
 * written anew for each line.
 */
import type { Exchange } from '../http/exchange/exchange.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import { putBytes } from './access-bytes.ts';
import type { AccessChange, AccessFacts } from './access-fields.ts';
import { KeptLines, type LineValues } from './kept-lines.ts';
import { type LineBuffer, type LineSource, writeText } from './line-buffer.ts';

/** A part of a line that is the same for all lines until what it comes from is another one. */
export interface KeptPart {
  readonly changes: Exclude<AccessChange, 'line'>;
  write(facts: AccessFacts): string;
}

/** A part that is another one with each line. */
export interface LinePart {
  readonly changes: 'line';
  readonly before: string;
  readonly after: string;
  /** It is the id of the request: all other parts of this kind are times. */
  readonly isId: boolean;
  /** Writes the value alone; returns where it ends. */
  put(bytes: Uint8Array, at: number, line: LineValues): number;
  /** Writes the value over that of the line before, which has so many bytes. False: that cannot be done, and the line is written anew. */
  replace?(bytes: Uint8Array, at: number, size: number, line: LineValues): boolean;
  /** All of it; nothing, or what stands for nothing, where there is no value. */
  write(facts: AccessFacts): string;
}

export type Part = KeptPart | LinePart;

/** A value that `put` writes: a time or an id (bytes). */
const VALUE_BYTES_MAX = 64;
/** Lines whose texts have so many bytes together are written at once: with their times and ids they fill a batch of a worker. */
const KEPT_BYTES_MAX = 192 * 1024;

/** What was made for a head: the bytes between the values that change with each line, and what they come from. */
class Pieces {
  readonly maker: LineWriter;
  /** The head has a trace, whose span is another one for each request. */
  readonly isTraced: boolean;
  /** Never changed, since lines that wait have them. */
  texts: readonly Buffer[] = [];
  /** Of all texts together. */
  size = 0;
  status = 0;
  bytes = 0;
  error: unknown;
  upstream: unknown;
  cache: unknown;
  trace: unknown;
  sending = 0;
  mapping: unknown;
  handler: unknown;
  waited: unknown;
  cpu: unknown;
  namesHosts = false;

  constructor(maker: LineWriter, isTraced: boolean) {
    this.maker = maker;
    this.isTraced = isTraced;
  }
}

export class LineWriter implements LineSource {
  readonly #parts: readonly Part[];
  readonly #namesHosts: () => boolean;
  /** The parts between those that change with each line. */
  readonly #runs: readonly (readonly ((facts: AccessFacts) => string)[])[];
  readonly #values: readonly LinePart[];
  /** The place of the id among `#values`; -1: there is none, -2: there are several. */
  readonly #id: number;
  readonly #usesBytes: boolean;
  readonly #usesAnswerer: boolean;
  readonly #usesSending: boolean;
  readonly #usesTrace: boolean;
  readonly #usesHosts: boolean;
  readonly #kept = new KeptLines();
  readonly #line: LineValues = { startedAt: 0, endedAt: 0, headAt: 0, time: 0, requestNumber: 0 };
  /** The line before, of which the next one may be a copy: where it lies, and where in it its id does. */
  #lastBytes: Buffer | undefined;
  #lastStart = 0;
  #lastSize = 0;
  #idStart = 0;
  #idSize = 0;

  /** `namesHosts`: what parts of the kind `hosts` depend on. */
  constructor(parts: readonly Part[], namesHosts: () => boolean) {
    this.#parts = parts;
    this.#namesHosts = namesHosts;
    const runs: ((facts: AccessFacts) => string)[][] = [[]];
    const values: LinePart[] = [];
    for (const part of parts) {
      if (part.changes !== 'line') {
        runs.at(-1)?.push(part.write);
        continue;
      }
      runs.at(-1)?.push(() => part.before);
      values.push(part);
      runs.push([() => part.after]);
    }
    this.#runs = runs;
    this.#values = values;
    const ids = values.filter(({ isId }) => isId).length;
    this.#id = ids > 1 ? -2 : values.findIndex(({ isId }) => isId);
    const uses = new Set(parts.map(({ changes }) => changes));
    this.#usesBytes = uses.has('bytes');
    this.#usesAnswerer = uses.has('answerer');
    this.#usesSending = uses.has('sending');
    this.#usesTrace = uses.has('trace');
    this.#usesHosts = uses.has('hosts');
  }

  /** The line as a text, made of nothing that was kept. */
  text(facts: AccessFacts): string {
    return this.#parts.map((part) => part.write(facts)).join('');
  }

  /** The line is written with those that come behind it, at the latest when `lines` asks for them. */
  write(facts: AccessFacts, lines: LineBuffer): void {
    const { exchange, startedAt, endedAt } = facts;
    const number = exchange.answeredBy?.requestNumber;
    if (startedAt === undefined || number === undefined) {
      // behind all lines that wait, also those of another source
      lines.willWrite(this);
      this.writeLines(lines);
      writeText(lines, this.text(facts));
      return;
    }
    const kept = this.#kept;
    const pieces = this.#piecesOf(facts, exchange);
    const headAt = exchange.headSentAt ?? endedAt;
    kept.add(pieces.texts, pieces.size, startedAt, endedAt, headAt, facts.time, number);
    lines.willWrite(this);
    if (kept.bytes >= KEPT_BYTES_MAX || kept.isFull) this.writeLines(lines);
  }

  writeLines(lines: LineBuffer): void {
    this.#lastBytes = undefined;
    this.#kept.take(this.#line, (texts, isNew) => this.#writeLine(lines, texts, isNew));
  }

  #writeLine(lines: LineBuffer, texts: readonly Buffer[], isNew: boolean): void {
    const at = lines.claim(sizeOf(texts) + this.#values.length * VALUE_BYTES_MAX);
    if (at < 0) {
      this.#lastBytes = undefined;
      return;
    }
    const { bytes } = lines;
    if (isNew || this.#lastBytes !== bytes || !this.#repeat(bytes, at))
      this.#lastSize = this.#writeAll(bytes, at, texts) - at;
    this.#lastBytes = bytes;
    this.#lastStart = at;
    lines.commit(at + this.#lastSize);
  }

  #writeAll(bytes: Buffer, start: number, texts: readonly Buffer[]): number {
    let at = putBytes(bytes, start, texts[0] as Buffer);
    for (let i = 0; i < this.#values.length; i++) {
      const valueStart = at;
      at = (this.#values[i] as LinePart).put(bytes, at, this.#line);
      if (i === this.#id) {
        this.#idStart = valueStart - start;
        this.#idSize = at - valueStart;
      }
      at = putBytes(bytes, at, texts[i + 1] as Buffer);
    }
    return at;
  }

  /** Writes the line before with another id. False: the id has another length, or there are several. */
  #repeat(bytes: Buffer, at: number): boolean {
    if (this.#id === -2) return false;
    bytes.copyWithin(at, this.#lastStart, this.#lastStart + this.#lastSize);
    if (this.#id < 0) return true;
    const id = this.#values[this.#id] as LinePart;
    return id.replace?.(bytes, at + this.#idStart, this.#idSize, this.#line) === true;
  }

  #piecesOf(facts: AccessFacts, exchange: Exchange): Pieces {
    const { identity } = exchange;
    let pieces = identity.logged;
    if (pieces instanceof Pieces && pieces.maker === this) {
      if (this.#isSame(pieces, exchange, facts)) return pieces;
    } else {
      pieces = new Pieces(this, this.#usesTrace && fieldValue(exchange.fields, 'traceparent') !== undefined);
      identity.logged = pieces;
    }
    this.#make(pieces as Pieces, exchange, facts);
    return pieces as Pieces;
  }

  #isSame(pieces: Pieces, exchange: Exchange, facts: AccessFacts): boolean {
    if (
      pieces.status !== exchange.status ||
      pieces.error !== exchange.error ||
      pieces.upstream !== exchange.upstream ||
      pieces.cache !== exchange.cacheOutcome
    )
      return false;
    if (this.#usesBytes && pieces.bytes !== exchange.bytesWritten) return false;
    if (this.#usesAnswerer) {
      const { answeredBy } = exchange;
      if (
        pieces.mapping !== answeredBy?.mappingName ||
        pieces.handler !== answeredBy?.handlerName ||
        pieces.waited !== answeredBy?.waitedMs ||
        pieces.cpu !== answeredBy?.cpuTotalMs
      )
        return false;
    }
    if (this.#usesSending && pieces.sending !== sendingMs(facts)) return false;
    if (this.#usesHosts && pieces.namesHosts !== this.#namesHosts()) return false;
    return !pieces.isTraced || pieces.trace === exchange.trace;
  }

  #make(pieces: Pieces, exchange: Exchange, facts: AccessFacts): void {
    const { answeredBy } = exchange;
    pieces.status = exchange.status;
    pieces.bytes = exchange.bytesWritten;
    pieces.error = exchange.error;
    pieces.upstream = exchange.upstream;
    pieces.cache = exchange.cacheOutcome;
    pieces.mapping = answeredBy?.mappingName;
    pieces.handler = answeredBy?.handlerName;
    pieces.waited = answeredBy?.waitedMs;
    pieces.cpu = answeredBy?.cpuTotalMs;
    pieces.sending = sendingMs(facts);
    pieces.namesHosts = this.#namesHosts();
    pieces.trace = pieces.isTraced ? exchange.trace : undefined;
    pieces.texts = this.#runs.map((run) => Buffer.from(run.map((write) => write(facts)).join('')));
    pieces.size = sizeOf(pieces.texts);
  }
}

function sizeOf(texts: readonly Buffer[]): number {
  let size = 0;
  for (const text of texts) size += text.length;
  return size;
}

/** From the moment when the head was handed over to the end; 0 where both were handed over together. */
export function sendingMs({ exchange, endedAt }: AccessFacts): number {
  const { headSentAt } = exchange;
  return headSentAt === undefined ? 0 : endedAt - headSentAt;
}
