/** One request's search for the form that answers it: looks at the file, then at the forms that the client takes, its favourite first. */
import { describeAction, FileError } from '../file/file-error.ts';
import { errnoOf } from '../file/strerror.ts';
import type { Coding } from './file-answer.ts';
import type { StaticEntry } from './static-entry.ts';
import { FRESH_MS, SILENCE_MS_MAX, type StaticForm } from './static-form.ts';

/** The form, whose state says what it is; or what has failed. */
export type LookupDone = (found: StaticForm | FileError) => void;

export class StaticLookup {
  readonly #entry: StaticEntry;
  readonly #codings: readonly Coding[];
  readonly #done: LookupDone;
  /** What was true then is good enough, however long the search takes. */
  readonly #notBefore = performance.now() - FRESH_MS;
  #deadline: NodeJS.Timeout | undefined;
  #looksAt: StaticForm | undefined;
  /** Forms that were looked at, and do not count again. */
  #index = -1;

  /** `done` is called once, perhaps before `start` returns. */
  constructor(entry: StaticEntry, codings: readonly Coding[], done: LookupDone) {
    this.#entry = entry;
    this.#codings = codings;
    this.#done = done;
  }

  start(): void {
    this.#next();
  }

  /** `done` is not called any more. */
  cancel(): void {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
    this.#looksAt?.cancel(this.#onChecked);
    this.#looksAt = undefined;
  }

  #next(): void {
    const { original } = this.#entry;
    for (;;) {
      const coding = this.#codings[this.#index];
      const form = this.#index === -1 ? original : coding && this.#entry.variant(coding);
      if (form === undefined) {
        this.#finish(original);
        return;
      }
      if (!form.isKnownSince(this.#notBefore)) {
        this.#looksAt = form;
        // all looks of a request have one deadline, and what is known needs none
        this.#deadline ??= setTimeout(() => this.#expire(), SILENCE_MS_MAX);
        form.check(this.#onChecked);
        return;
      }
      const isOriginal = form === original;
      if (isOriginal ? form.state !== 'file' : form.state === 'file') {
        this.#finish(form);
        return;
      }
      this.#index += 1;
    }
  }

  readonly #onChecked = (error: FileError | undefined): void => {
    if (this.#looksAt === undefined) return;
    this.#looksAt = undefined;
    if (error === undefined) this.#next();
    else this.#finish(error);
  };

  #finish(found: StaticForm | FileError): void {
    clearTimeout(this.#deadline);
    this.#done(found);
  }

  #expire(): void {
    this.cancel();
    const action = describeAction('look at', this.#entry.path);
    const text = `the file system has not answered for ${SILENCE_MS_MAX / 1000} seconds`;
    this.#done(new FileError(action, errnoOf('ETIMEDOUT'), text));
  }
}
