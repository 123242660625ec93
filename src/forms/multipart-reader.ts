/** Reads a body of multipart/form-data part by part, as it is asked to (RFC 7578, RFC 2046 §5.1). */
import type { GatewayError } from '../base/errors.ts';
import { DelimiterSearch } from './delimiter-search.ts';
import type { FormBody } from './form-body.ts';
import { beyondLimit, malformed, quote, readByOthers } from './form-errors.ts';
import { type MultipartLimits, PART_HEAD_LINES_MAX } from './form-limits.ts';
import { PartBody } from './part-body.ts';
import { type PartHead, parsePartHead } from './part-head.ts';
import { PartScan } from './part-scan.ts';

export interface Part extends PartHead {
  readonly body: PartBody;
}

/** What has come of a step: the part, the end, an error, or nothing before more of the body has arrived. */
export type Advance = Part | 'end' | 'more' | GatewayError;

const HYPHEN = 0x2d;
const BLANKS = /^[ \t]*$/;

export class MultipartReader {
  readonly #body: FormBody;
  readonly #limits: MultipartLimits;
  readonly #boundary: string;
  readonly #search: DelimiterSearch;
  #phase: 'content' | 'delimiter' | 'head' = 'content';
  #over: 'end' | GatewayError | undefined;
  /** What stands before the first delimiter, then the content of the part. */
  #scan: PartScan;
  #part: Part | undefined;
  #parts = 0;
  #lines: string[] = [];
  #headBytes = 0;
  /** Bytes at the front of the body that are known to hold no line feed. */
  #searched = 0;

  constructor(body: FormBody, boundary: string, limits: MultipartLimits) {
    this.#body = body;
    this.#limits = limits;
    this.#boundary = boundary;
    this.#search = new DelimiterSearch(boundary);
    this.#scan = new PartScan(body, this.#search, limits, false);
  }

  /** Passes over what is left of the part and goes on to the next one. */
  advance(): Advance {
    this.#part?.body.pass();
    this.#part = undefined;
    while (this.#over === undefined) {
      if (this.#body.isDisturbed) return this.#fail(readByOthers());
      const result = this.#step();
      if (result === undefined) continue;
      this.#body.source.consumed();
      if (result !== 'more') return result;
      const { ended, error } = this.#body.source;
      if (!ended) return 'more';
      return this.#fail(error ?? malformed('it ends before its last boundary'));
    }
    return this.#over;
  }

  /** Calls `ready` once when there is more of the body than now, or when it has ended. */
  whenMore(ready: () => void): void {
    const { source } = this.#body;
    source.request(source.queue.length + 1, ready);
  }

  cancelMore(ready: () => void): void {
    this.#body.source.cancelRequest(ready);
  }

  /** Undefined: on with the next phase. */
  #step(): Advance | undefined {
    switch (this.#phase) {
      case 'content':
        return this.#passContent();
      case 'delimiter':
        return this.#readDelimiter();
      case 'head':
        return this.#readHead();
    }
  }

  #passContent(): Advance | undefined {
    this.#scan.scan();
    const { ended, error, window, delimiterBytes } = this.#scan;
    if (error !== undefined) return this.#fail(error);
    this.#body.drop(window.length);
    if (!ended) return 'more';
    this.#body.drop(delimiterBytes);
    this.#phase = 'delimiter';
    this.#headBytes = 0;
    return undefined;
  }

  /** Behind a boundary come two hyphens after the last part, else blanks (transport padding) and the end of the line. */
  #readDelimiter(): Advance | undefined {
    const { queue } = this.#body.source;
    const first = queue.peek(0);
    const second = queue.peek(1);
    if (first === undefined || (first === HYPHEN && second === undefined)) return 'more';
    if (first === HYPHEN && second === HYPHEN) {
      // what follows is for nobody
      this.#body.drop(queue.length);
      this.#over = 'end';
      return 'end';
    }
    const line = this.#takeLine();
    if (typeof line !== 'string') return line ?? 'more';
    if (!BLANKS.test(line))
      return this.#fail(malformed(`${quote(line)} follows a boundary in the same line`));
    this.#phase = 'head';
    this.#headBytes = 0;
    this.#lines = [];
    return undefined;
  }

  #readHead(): Advance | undefined {
    for (;;) {
      const line = this.#takeLine();
      if (typeof line !== 'string') return line ?? 'more';
      if (line === '') return this.#beginPart();
      if (line.startsWith(`--${this.#boundary}`))
        return this.#fail(malformed('a part ends before its head does'));
      if (this.#lines.length === PART_HEAD_LINES_MAX) {
        const limit = `the head of a part has more lines than the limit of ${PART_HEAD_LINES_MAX}`;
        return this.#fail(beyondLimit(limit));
      }
      this.#lines.push(line);
    }
  }

  #beginPart(): Advance {
    this.#parts += 1;
    const { parts } = this.#limits;
    if (this.#parts > parts)
      return this.#fail(beyondLimit(`it has more parts than the limit of ${parts} ("parts")`));
    const head = parsePartHead(this.#lines);
    if (head instanceof Error) return this.#fail(head);
    this.#lines = [];
    this.#phase = 'content';
    this.#scan = new PartScan(this.#body, this.#search, this.#limits, head.filename === undefined);
    this.#part = { ...head, body: new PartBody(this.#body.source, this.#scan) };
    return this.#part;
  }

  /** Takes a line without its end; undefined: it is not complete. */
  #takeLine(): string | GatewayError | undefined {
    const { queue } = this.#body.source;
    const size = queue.lineLength(this.#searched);
    this.#searched = size === -1 ? queue.length : 0;
    const { headBytes, bytes } = this.#limits;
    const known = size === -1 ? queue.length : size;
    // the line end of the blank line comes on top
    if (this.#headBytes + known > headBytes + 2)
      return this.#fail(
        beyondLimit(`the head of a part has more bytes than the limit of ${headBytes} ("head")`),
      );
    if (this.#body.position + known > bytes)
      return this.#fail(beyondLimit(`it has more bytes than the limit of ${bytes} ("size")`));
    if (size === -1) return undefined;
    this.#headBytes += size;
    const line = this.#body.takeText(size);
    if (!line.endsWith('\r\n'))
      return this.#fail(malformed('a line in the head of a part does not end with CR LF'));
    return line.slice(0, -2);
  }

  #fail(error: GatewayError): GatewayError {
    this.#over = error;
    return error;
  }
}
