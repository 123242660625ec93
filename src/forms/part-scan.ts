/** The content of one part, or what stands before the first: how much of it has arrived, and where it ends. */
import type { GatewayError } from '../base/errors.ts';
import { BodyWindow } from './body-window.ts';
import type { DelimiterSearch } from './delimiter-search.ts';
import type { FormBody } from './form-body.ts';
import { beyondLimit, malformed, readByOthers } from './form-errors.ts';
import type { MultipartLimits } from './form-limits.ts';

export class PartScan {
  /** The bytes of the content that have arrived and were not taken. */
  readonly window: BodyWindow;
  readonly #body: FormBody;
  readonly #search: DelimiterSearch;
  readonly #limits: MultipartLimits;
  readonly #isField: boolean;
  readonly #start: number;
  #scannedTo: number;
  #ended = false;
  #error: GatewayError | undefined;

  /** The content begins where the body was read to, at the front of a line. */
  constructor(body: FormBody, search: DelimiterSearch, limits: MultipartLimits, isField: boolean) {
    this.#body = body;
    this.#search = search;
    this.#limits = limits;
    this.#isField = isField;
    this.#start = body.position;
    this.#scannedTo = body.position;
    this.window = new BodyWindow(body);
    search.beginLine();
    this.scan();
  }

  /** Nothing will be added to the window any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Why it has ended without a delimiter. */
  get error(): GatewayError | undefined {
    return this.#error;
  }

  /** Bytes of the delimiter, which stands behind the window. */
  get delimiterBytes(): number {
    return this.#scannedTo - this.window.end;
  }

  /** Looks at what has arrived since the last time. */
  scan(): void {
    if (this.#ended) return;
    const { source, position } = this.#body;
    if (this.#body.isDisturbed) {
      this.#fail(readByOthers());
      return;
    }
    const { queue } = source;
    while (!this.#ended && this.#scannedTo - position < queue.length) {
      const bytes = queue.peekChunk(this.#scannedTo - position);
      const behind = this.#search.find(bytes);
      this.#ended = behind !== -1;
      this.#scannedTo += this.#ended ? behind : bytes.length;
    }
    const kept = this.#ended ? this.#search.size : this.#search.matched;
    // the line end before the first delimiter, or of an empty part, stands before the content
    this.window.end = Math.max(this.#start, this.#scannedTo - kept);
    this.#checkLimits();
    if (!this.#ended && source.ended)
      this.#fail(source.error ?? malformed('it ends before its last boundary'));
  }

  #checkLimits(): void {
    const { bytes, fieldBytes } = this.#limits;
    if (this.#isField && this.window.end - this.#start > fieldBytes) {
      this.window.end = Math.max(this.#body.position, this.#start + fieldBytes);
      this.#fail(beyondLimit(`a field has more bytes than the limit of ${fieldBytes} ("field")`));
    } else if (this.#scannedTo > bytes)
      this.#fail(beyondLimit(`it has more bytes than the limit of ${bytes} ("size")`));
  }

  #fail(error: GatewayError): void {
    this.#ended = true;
    this.#error = error;
  }
}
