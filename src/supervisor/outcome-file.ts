/**
 * The file beside the pid file that says what came of reloads and upgrades, for commands that have asked by a signal. It is written through a
 * descriptor that the process keeps, so that it goes on after `-u` where the folder is out of reach.
 */
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';

/** Characters of the lines of an outcome: more are cut. */
const LINES_LENGTH_MAX: number = 64 * 1024;
/** How often a file is read again at once that is being written: a write takes microseconds. */
const LOOKS_MAX = 20;
/** The last of each kind is kept. */
export type OutcomeKind = 'reload' | 'upgrade';

export interface FiledOutcome {
  /** Of the operation, counted from 1 in the order in which they began. */
  readonly number: number;
  readonly ok: boolean;
  /** Without line ends. */
  readonly lines: readonly string[];
}

export interface FiledOutcomes {
  /** The process that writes the file. */
  readonly pid: number;
  /** The number of the operation that began last; 0: none has. */
  readonly begun: number;
  readonly reload?: FiledOutcome;
  readonly upgrade?: FiledOutcome;
}

export function outcomePath(pidFile: string): string {
  return `${pidFile}.outcome`;
}

export class OutcomeFile {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #logger: Logger;
  #isClosed = false;
  #content: FiledOutcomes = { pid: process.pid, begun: 0 };

  private constructor(path: string, descriptor: number, logger: Logger) {
    [this.#path, this.#descriptor, this.#logger] = [path, descriptor, logger];
  }

  /** Makes the file, in the place of one that is there; undefined where that is not possible, which the log says. */
  static create(pidFile: string, logger: Logger): OutcomeFile | undefined {
    const path = outcomePath(pidFile);
    const temporary = `${path}.${process.pid}`;
    try {
      rmSync(temporary, { force: true });
      // only who may signal the process may read what its scripts say
      const file = new OutcomeFile(path, openSync(temporary, 'wx', 0o600), logger);
      file.#write();
      renameSync(temporary, path);
      return file;
    } catch (error) {
      rmSync(temporary, { force: true });
      logger.warn(`Commands that ask by a signal will not hear the outcome: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** An operation begins; returns its number. */
  begin(): number {
    const begun = this.#content.begun + 1;
    this.#content = { ...this.#content, begun };
    this.#write();
    return begun;
  }

  end(kind: OutcomeKind, outcome: FiledOutcome): void {
    let left = LINES_LENGTH_MAX;
    const lines = outcome.lines.flatMap((line) => {
      const kept = line.slice(0, left);
      left -= kept.length;
      return kept === '' ? [] : [kept];
    });
    this.#content = { ...this.#content, [kind]: { ...outcome, lines } };
    this.#write();
  }

  /** Removes the file if it is still that of this process. */
  remove(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      closeSync(this.#descriptor);
      if (readOutcomes(this.#path)?.pid === process.pid) rmSync(this.#path, { force: true });
    } catch {
      // after `-u` the folder may be out of reach; readers see that the process has ended
    }
  }

  #write(): void {
    // the number may be another file's by now
    if (this.#isClosed) return;
    try {
      const bytes = Buffer.from(fileText(this.#content));
      writeSync(this.#descriptor, bytes, 0, bytes.length, 0);
      ftruncateSync(this.#descriptor, bytes.length);
    } catch (error) {
      // a full disk, for example: the log has the outcome
      this.#logger.warn(`Cannot write "${this.#path}": ${messageOf(error)}`);
    }
  }
}

/** What the file says; undefined: there is none, it may not be read, or it is being written just now, also when it is looked at again. */
export function readOutcomes(path: string): FiledOutcomes | undefined {
  for (let look = 0; look < LOOKS_MAX; look++) {
    const content = readOnce(path);
    if (content !== undefined) return content;
  }
  return undefined;
}

function readOnce(path: string): FiledOutcomes | undefined {
  try {
    return readText(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Whoever reads while it is written over may get the begin of the new text and the end of the old one: the digest belongs to one of them only. */
function fileText(content: FiledOutcomes): string {
  const text = JSON.stringify(content);
  return `{"sha256":"${digestOf(text)}","outcomes":${text}}\n`;
}

/** Undefined: these are parts of several texts, or something else. Throws SyntaxError. */
function readText(text: string): FiledOutcomes | undefined {
  const { sha256, outcomes }: { readonly sha256?: unknown; readonly outcomes?: unknown } = Object(
    JSON.parse(text),
  );
  return isOutcomes(outcomes) && sha256 === digestOf(JSON.stringify(outcomes)) ? outcomes : undefined;
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function isOutcomes(content: unknown): content is FiledOutcomes {
  if (typeof content !== 'object' || content === null) return false;
  const { pid, begun, reload, upgrade } = content as Record<string, unknown>;
  if (!Number.isInteger(pid) || !Number.isInteger(begun)) return false;
  return [reload, upgrade].every((one) => one === undefined || isOutcome(one));
}

function isOutcome(one: unknown): boolean {
  if (typeof one !== 'object' || one === null) return false;
  const { number, ok, lines } = one as Record<string, unknown>;
  const areTexts = Array.isArray(lines) && lines.every((line) => typeof line === 'string');
  return Number.isInteger(number) && typeof ok === 'boolean' && areTexts;
}
