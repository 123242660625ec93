/** A FileAnswer and a disk that does not answer: before the head, and in the middle of a file. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FileSystem } from '../../src/file/file-system.ts';
import { Counters } from '../../src/metrics/worker-metrics.ts';
import { FileAnswer, type FileSent } from '../../src/static/file-answer.ts';
import { FakeExchange } from '../support/fake-exchange.ts';
import { eventually } from '../support/script-harness.ts';

const SILENCE_MS = 30_000;

/** Answers with a file of which nothing is ever read; `openIt` has it opened. */
async function answerOf(
  t: TestContext,
  openIt: boolean,
): Promise<{ sent: FileSent[]; exchange: FakeExchange; files: () => number }> {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const folder = mkdtempSync(join(tmpdir(), 'lgw-answer-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'file'), 'content');
  const fileSystem = new FileSystem({
    root: undefined,
    workingDirectory: folder,
    // no read begins
    operationsMax: 0,
    counters: new Counters(),
    duplicate: () => undefined,
    logger: undefined,
  });
  const exchange = new FakeExchange('/file', {});
  const sent: FileSent[] = [];
  let cancelled = 0;
  const answer = new FileAnswer({
    exchange,
    name: 'file',
    candidates: [{ name: 'file', coding: undefined }],
    open: (name, done) => {
      if (openIt) queueMicrotask(() => done(undefined, fileSystem.openSync(name, 'r')));
      return { cancel: () => (cancelled += 1) };
    },
    describe: () => ({ size: 7, modifiedMs: 0, etag: '"x"', ranges: true }),
    giveHead: ({ selection }) => exchange.head(selection.status, []),
    silenceMsMax: SILENCE_MS,
    done: (outcome) => sent.push(outcome),
  });
  answer.start();
  await Promise.resolve();
  t.mock.timers.tick(SILENCE_MS - 1);
  deepEqual(sent, []);
  t.mock.timers.tick(1);
  equal(cancelled, openIt ? 0 : 1);
  return { sent, exchange, files: () => fileSystem.files };
}

for (const [place, openIt] of [
  ['before the head', false],
  ['in the middle of the file', true],
] as const) {
  test(`A file system that has not answered for 30 seconds ${place} is given up, and the file is closed`, async (t) => {
    const { sent, exchange, files } = await answerOf(t, openIt);
    const [outcome] = sent;
    ok(outcome !== undefined && 'code' in outcome);
    match(outcome.message, /Cannot send "file": the file system has not answered for 30 seconds/);
    equal(exchange.headGiven, openIt);
    t.mock.timers.tick(10 * SILENCE_MS);
    equal(sent.length, 1);
    t.mock.timers.reset();
    await eventually(() => equal(files(), 0));
  });
}
