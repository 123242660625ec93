/**
 * Puts lines together out of parts. What is the same for all requests with one head is kept with that head as bytes; only times and ids are
 * written anew for each line.
 */
import type { Exchange } from '../http/exchange/exchange.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import { putBytes } from './access-bytes.ts';
import type { AccessChange, AccessFacts } from './access-fields.ts';
import { type LineBuffer, writeText } from './line-buffer.ts';

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
  /** Writes the value alone, where the exchange has an id and the time of its begin is known; returns where it ends. */
  put(bytes: Uint8Array, at: number, facts: AccessFacts): number;
  /** Writes the value over that of the line before, which has so many bytes. False: that cannot be done, and the line is written anew. */
  replace?(bytes: Uint8Array, at: number, size: number, facts: AccessFacts): boolean;
  /** All of it; nothing, or what stands for nothing, where there is no value. */
  write(facts: AccessFacts): string;
}

export type Part = KeptPart | LinePart;

/** A value that `put` writes: a time or an id (bytes). */
const VALUE_BYTES_MAX = 64;

/** What was made for a head: the bytes between the values that change with each line, and what they come from. */
class Pieces {
  readonly maker: LineWriter;
  /** The head has a trace, whose span is another one for each request. */
  readonly isTraced: boolean;
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

export class LineWriter {
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
  /** The line before, which the next one often differs from by its id alone. Where it lies, and where in it its id does. */
  #last: Pieces | undefined;
  #lastBytes: Buffer | undefined;
  #lastStart = 0;
  #lastSize = 0;
  #idStart = 0;
  #idSize = 0;
  #lastStarted: number | undefined;
  #lastEnded = 0;

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

  write(facts: AccessFacts, lines: LineBuffer): void {
    const { exchange, startedAt, endedAt } = facts;
    if (startedAt === undefined || exchange.answeredBy === undefined) {
      writeText(lines, this.text(facts));
      return;
    }
    const pieces = this.#piecesOf(facts, exchange);
    const at = lines.claim(pieces.size + this.#values.length * VALUE_BYTES_MAX);
    if (at < 0) return;
    const { bytes } = lines;
    const isLikeLast =
      this.#last === pieces &&
      this.#lastEnded === endedAt &&
      this.#lastStarted === startedAt &&
      this.#lastBytes === bytes &&
      exchange.headSentAt === undefined;
    if (isLikeLast && this.#repeat(bytes, at, facts)) {
      lines.commit(at + this.#lastSize);
      return;
    }
    const end = this.#writeAll(bytes, at, pieces, facts);
    // a value that has a time of its own is not known to be the same in the next line
    this.#last = exchange.headSentAt === undefined && this.#id !== -2 ? pieces : undefined;
    this.#lastBytes = bytes;
    this.#lastStart = at;
    this.#lastSize = end - at;
    this.#lastStarted = startedAt;
    this.#lastEnded = endedAt;
    lines.commit(end);
  }

  #writeAll(bytes: Buffer, start: number, { texts }: Pieces, facts: AccessFacts): number {
    let at = putBytes(bytes, start, texts[0] as Buffer);
    for (let i = 0; i < this.#values.length; i++) {
      const valueStart = at;
      at = (this.#values[i] as LinePart).put(bytes, at, facts);
      if (i === this.#id) {
        this.#idStart = valueStart - start;
        this.#idSize = at - valueStart;
      }
      at = putBytes(bytes, at, texts[i + 1] as Buffer);
    }
    return at;
  }

  /** Writes the line before with another id. False: the id has another length. */
  #repeat(bytes: Buffer, at: number, facts: AccessFacts): boolean {
    bytes.copyWithin(at, this.#lastStart, this.#lastStart + this.#lastSize);
    this.#lastStart = at;
    if (this.#id < 0) return true;
    const id = this.#values[this.#id] as LinePart;
    return id.replace?.(bytes, at + this.#idStart, this.#idSize, facts) === true;
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
    pieces.size = pieces.texts.reduce((sum, { length }) => sum + length, 0);
    if (this.#last === pieces) this.#last = undefined;
  }
}

/** From the moment when the head was handed over to the end; 0 where both were handed over together. */
export function sendingMs({ exchange, endedAt }: AccessFacts): number {
  const { headSentAt } = exchange;
  return headSentAt === undefined ? 0 : endedAt - headSentAt;
}
