/** Answers to challenges in the store: those that stand behind an older lease never take the place of newer ones. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { SharedChallenges } from '../../src/acme/shared-challenges.ts';
import { createLogger } from '../../src/base/logger.ts';
import { Lease, Leases } from '../../src/fleet/leases.ts';
import { SealedEntries } from '../../src/fleet/sealed-entries.ts';
import type { ChallengeAnswer } from '../../src/tls/challenge-answer.ts';
import { FLEET_SECRET } from '../support/acme-machine.ts';
import { RedisProcess } from '../support/redis-process.ts';
import { TestStore } from '../support/test-store.ts';

let redis: RedisProcess;
let store: TestStore;
let machines: Machine[] = [];
before(async () => {
  redis = await RedisProcess.start();
  store = new TestStore(redis.address);
});
after(async () => {
  store?.close();
  await redis?.stop();
});
beforeEach(() => {
  redis.cli('flushall');
  machines = [];
});

/** Notices go to all machines at once. */
class Machine {
  readonly id: string = `${machines.length}`.repeat(16);
  /** What its workers answer. */
  given: readonly ChallengeAnswer[] = [];
  readonly challenges: SharedChallenges;
  /** What this machine was told. */
  readonly heard: string[] = [];
  readonly log: string[] = [];

  constructor() {
    machines.push(this);
    this.challenges = new SharedChallenges({
      entries: new SealedEntries(store.client, FLEET_SECRET),
      id: this.id,
      tell: (what, number) => {
        for (const machine of machines)
          if (machine !== this) {
            machine.heard.push(what);
            if (what === 'taken') machine.challenges.confirmed(number, this.id);
          }
        // nobody is waited for
        return Promise.resolve(1);
      },
      owner: {
        answer: (answers) => {
          this.given = answers;
          return Promise.resolve();
        },
      },
      logger: createLogger('debug', 'acme', (line) => this.log.push(line)),
    });
  }

  /** Has the lease as long as its own clock says. */
  lead(fence: number, isGood = true): void {
    // never asked for again
    const leases = new Leases(store.client, { leaseMs: 60_000, renewMs: 600_000 });
    const goodUntil = isGood ? Infinity : 0;
    const lease = new Lease(leases, `lease-${fence}`, fence, goodUntil, () => undefined);
    this.challenges.lead(lease);
  }

  get tokens(): string[] {
    return this.given.map((answer) => (answer.type === 'http-01' ? answer.token : answer.name));
  }
}

function answerOf(token: string): ChallengeAnswer {
  return { type: 'http-01', token, content: `${token}.x` };
}

test('Answers of an older lease are refused by whoever knows a newer one, and that one puts its own there again', async () => {
  const [older, newer, other] = [new Machine(), new Machine(), new Machine()] as const;
  older.lead(1);
  newer.lead(2);
  await newer.challenges.answer([answerOf('new')]);
  await other.challenges.refresh();
  assert.deepEqual(other.tokens, ['new']);
  // it stood still, and does not know that its lease is over
  await older.challenges.answer([answerOf('old')]);
  await other.challenges.refresh();
  assert.deepEqual(other.tokens, ['new']);
  // a newcomer knows of neither
  const newcomer = new Machine();
  await newcomer.challenges.refresh();
  assert.deepEqual(newcomer.tokens, ['old']);
  newer.heard.length = 0;
  other.heard.length = 0;
  await newer.challenges.refresh();
  assert.deepEqual(newer.tokens, ['new']);
  assert.deepEqual(other.heard, ['answers']);
  for (const machine of [newcomer, other, older]) await machine.challenges.refresh();
  assert.deepEqual(newcomer.tokens, ['new']);
  assert.deepEqual(other.tokens, ['new']);
  // what it asks for itself is its own affair, and nobody else's
  assert.deepEqual(older.tokens, ['new', 'old']);
  await newer.challenges.refresh();
  await newer.challenges.answer([]);
  for (const machine of [newcomer, other, older]) await machine.challenges.refresh();
  assert.deepEqual([newer.tokens, newcomer.tokens, other.tokens], [[], [], []]);
});

test('Whoever has no answers any more leaves those of an older lease where they are, and does not give them', async () => {
  const [older, newer] = [new Machine(), new Machine()] as const;
  older.lead(1);
  newer.lead(2);
  await newer.challenges.answer([answerOf('new')]);
  await newer.challenges.answer([]);
  await older.challenges.answer([answerOf('old')]);
  older.heard.length = 0;
  await newer.challenges.refresh();
  assert.deepEqual(newer.tokens, []);
  assert.deepEqual(older.heard, []);
});

test('A machine that knows that its lease is over shares nothing', async () => {
  const [late, other] = [new Machine(), new Machine()] as const;
  late.lead(1, false);
  await late.challenges.answer([answerOf('late')]);
  assert.deepEqual(late.tokens, ['late']);
  await other.challenges.refresh();
  assert.deepEqual(other.tokens, []);
  assert.equal(redis.cli('dbsize'), '0');
});
