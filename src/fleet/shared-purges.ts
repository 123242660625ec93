/**
 * Carries purges of the cache to the other machines, and theirs to this one. The store has them all, by number: a machine asks for those that it
 * does not know, each second, and at once when a message tells of one. So a machine that was cut off has them all when it is back.
 */
import { randomBytes } from 'node:crypto';
import { GatewayError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { MinuteNotice } from '../base/minute-notice.ts';
import { AtomicSteps } from '../store/atomic-steps.ts';
import { type Reply, ReplyError } from '../store/resp-reply.ts';
import type { StoreClient } from '../store/store-client.ts';
import { replyFailure } from '../store/store-failures.ts';

/** The store is asked this often, in case a message was lost. */
const POLL_MS = 1000;
const CALL_TIMEOUT_MS = 1000;
/** Marks of one step; 65,536 are all that there are. */
const STEP_MARKS_MAX = 1024;
/** No dictionary has an empty name. */
const KEY = 'lg::purges';
const EPOCH_DIGITS = 16;
/** A message: epoch, number, marks. */
const MESSAGE = /^([0-9a-f]{16}) (\d{1,15}) (\d{1,5}(?:,\d{1,5})*)$/;
const MESSAGE_BYTES_MAX: number = 40 + 6 * STEP_MARKS_MAX;

/** What threads of this machine know of purges. */
export interface PurgeTable {
  /** Of the marks; empty: none was taken from the store yet. */
  readonly epoch: string;
  readonly epochCount: number;
  readonly known: number;
  adopt(epoch: string): void;
  purged(mark: number, number: number): void;
  taken(mark: number, number: number): void;
  settled(mark: number, count: number): void;
  reached(number: number): void;
  heard(at: number): void;
  isEpoch(text: string): boolean;
  isMark(mark: number): boolean;
  /** That of all answers. */
  readonly allMark: number;
}

interface SharedPurgesOptions {
  readonly client: StoreClient;
  readonly channel: string;
  readonly table: PurgeTable;
  readonly logger: Logger;
}

/** The channel of the store that all gateways with this database use. */
export function purgeChannel(database: number): string {
  return `lg:events:${database}:purges`;
}

export class SharedPurges {
  readonly #options: SharedPurgesOptions;
  readonly #steps: AtomicSteps;
  /** Marks that the store is to get, and how many purges of each. */
  #waiting = new Map<number, number>();
  #isSending = false;
  #isAsking = false;
  #asksAgain = false;
  readonly #timer: NodeJS.Timeout;
  readonly #notice = new MinuteNotice();

  constructor(options: SharedPurgesOptions) {
    this.#options = options;
    this.#steps = new AtomicSteps(options.client);
    this.#timer = setInterval(() => this.ask(), POLL_MS);
    this.ask();
  }

  /** Purges of a thread of this machine, which holds them itself already. `epoch`: the count of that of the marks. */
  take(marks: readonly number[], epoch: number): void {
    const { table } = this.#options;
    for (const mark of marks) this.#waiting.set(mark, (this.#waiting.get(mark) ?? 0) + 1);
    if (epoch !== table.epochCount) this.#purgeAllInstead();
    this.#send();
  }

  /** A message has come that tells of a purge. */
  received(bytes: Buffer): void {
    const { table } = this.#options;
    const text = bytes.length > MESSAGE_BYTES_MAX ? '' : bytes.toString('latin1');
    const [, epoch, digits, list] = MESSAGE.exec(text) ?? [];
    const number = Number(digits);
    const marks = (list ?? '').split(',').map(Number);
    const isNext =
      epoch === table.epoch && number === table.known + 1 && marks.every((mark) => table.isMark(mark));
    if (isNext) {
      for (const mark of marks) table.purged(mark, number);
      table.reached(number);
    } else if (epoch !== table.epoch || number > table.known) this.ask();
  }

  /** Asks the store for purges that are not known. */
  ask(): void {
    if (this.#isAsking) {
      this.#asksAgain = true;
      return;
    }
    this.#isAsking = true;
    const { table } = this.#options;
    const { epoch, known } = table;
    const askedAt = performance.now();
    this.#steps.run('purges', KEY, [newEpoch(), epoch, String(known)], CALL_TIMEOUT_MS, (outcome) => {
      this.#isAsking = false;
      if (this.#isFailure(outcome)) {
        this.#asksAgain = false;
        return;
      }
      // what was learnt by messages meanwhile is not undone by what the store said before
      if (this.#learn(outcome, epoch)) table.heard(askedAt);
      this.#send();
      if (!this.#asksAgain) return;
      this.#asksAgain = false;
      this.ask();
    });
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** False: it is not what was asked for. */
  #learn(reply: Reply, epochBefore: string): boolean {
    const { table } = this.#options;
    if (!Array.isArray(reply) || reply.length % 2 !== 1) return false;
    const words = reply.map(String);
    const [epoch = ''] = words;
    if (!table.isEpoch(epoch)) return false;
    // another answer has brought another one meanwhile
    if (table.epoch !== epochBefore) return false;
    if (epoch !== table.epoch) this.#adopt(epoch);
    let last = table.known;
    for (let i = 1; i < words.length; i += 2) {
      const number = Number(words[i + 1]);
      if (!Number.isSafeInteger(number) || number < 0) return false;
      last = Math.max(last, number);
      const mark = Number(words[i]);
      if (words[i] !== 'n' && table.isMark(mark) && number > table.known) table.purged(mark, number);
    }
    table.reached(last);
    return true;
  }

  #adopt(epoch: string): void {
    this.#options.table.adopt(epoch);
    this.#purgeAllInstead();
  }

  /** Marks of before mean nothing any more. */
  #purgeAllInstead(): void {
    const { table } = this.#options;
    if (this.#waiting.size === 0) return;
    table.settled(table.allMark, -1);
    for (const [mark, count] of this.#waiting) table.settled(mark, count);
    this.#waiting = new Map([[table.allMark, 1]]);
  }

  #send(): void {
    const { client, channel, table } = this.#options;
    if (this.#isSending || this.#waiting.size === 0 || table.epoch === '') return;
    this.#isSending = true;
    const taken = new Map([...this.#waiting].slice(0, STEP_MARKS_MAX));
    for (const mark of taken.keys()) this.#waiting.delete(mark);
    const { epoch } = table;
    const list = [...taken.keys()].join(',');
    const words = [newEpoch(), epoch, list, String(table.allMark)];
    this.#steps.run('purge', KEY, words, CALL_TIMEOUT_MS, (outcome) => {
      this.#isSending = false;
      const [found, digits] = Array.isArray(outcome) ? outcome.map(String) : [];
      const number = Number(digits);
      if (this.#isFailure(outcome) || found === undefined || !Number.isSafeInteger(number)) {
        // it goes again behind the next answer of the store: done twice is as good
        for (const [mark, count] of taken) this.#waiting.set(mark, (this.#waiting.get(mark) ?? 0) + count);
        if (epoch !== table.epoch) this.#purgeAllInstead();
        return;
      }
      if (found === table.epoch) for (const mark of taken.keys()) table.taken(mark, number);
      for (const [mark, count] of taken) table.settled(mark, count);
      if (found === table.epoch && number === table.known + 1) table.reached(number);
      else this.ask();
      // who does not hear of it asks soon
      const purged = found === epoch ? list : String(table.allMark);
      client.publish(channel, `${found} ${number} ${purged}`, CALL_TIMEOUT_MS, () => undefined);
      this.#send();
    });
  }

  #isFailure(outcome: Reply | GatewayError): outcome is GatewayError | ReplyError {
    if (outcome instanceof GatewayError) return true;
    if (!(outcome instanceof ReplyError)) return false;
    const { client, logger } = this.#options;
    if (this.#notice.note() !== undefined)
      logger.error(
        `Purges of the cache do not go to other machines, and theirs do not come: ${replyFailure(client.place, outcome).message}. ` +
          'docs/many-machines.md names the rights that its user needs',
      );
    return true;
  }
}

function newEpoch(): string {
  return randomBytes(EPOCH_DIGITS / 2).toString('hex');
}
