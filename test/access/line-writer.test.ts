/** Lines that are written together are those that each request would have had alone, in the same order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessFacts } from '../../src/access/access-fields.ts';
import { accessFormatter } from '../../src/access/access-format.ts';
import type { LineBuffer, LineSource } from '../../src/access/line-buffer.ts';
import type { LineWriter } from '../../src/access/line-writer.ts';
import { requestIdOf } from '../../src/base/request-id.ts';
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import type { AccessFormat } from '../../src/settings/log-settings.ts';

const WORKER = 3;

/** Takes all lines, and asks for those that wait only when it is told to. */
class Collected implements LineBuffer {
  readonly bytes: Buffer = Buffer.alloc(4 * 1024 * 1024);
  readonly lines: string[] = [];
  room = Number.POSITIVE_INFINITY;
  #at = 0;
  #source: LineSource | undefined;

  claim(): number {
    return this.lines.length < this.room ? this.#at : -1;
  }

  commit(end: number): void {
    this.lines.push(this.bytes.toString('utf8', this.#at, end));
    this.#at = end;
  }

  willWrite(source: LineSource): void {
    if (this.#source !== source) this.#source?.writeLines(this);
    this.#source = source;
  }

  ask(): readonly string[] {
    this.#source?.writeLines(this);
    return this.lines;
  }
}

function writerOf(accessFormat: AccessFormat): LineWriter {
  const surroundings = { worker: WORKER, source: `worker-${WORKER}`, namesHosts: () => false };
  return accessFormatter(
    { accessFormat, accessFields: undefined, accessTarget: { kind: 'log' } },
    surroundings,
  );
}

type Identity = Exchange['identity'];

function factsOf(
  target: string,
  identity: Identity,
  more: {
    readonly number?: number | undefined;
    readonly status?: number;
    readonly times?: readonly [started: number, ended: number, head?: number];
  } = {},
): AccessFacts {
  const [startedAt, endedAt, headSentAt] = more.times ?? [10, 11.5];
  const { number } = more;
  const requestId = number === undefined ? 'no-number' : requestIdOf(WORKER, number);
  const exchange: Partial<Exchange> = {
    method: 'GET',
    target,
    protocol: 'HTTP/2',
    scheme: 'https',
    fields: [],
    status: more.status ?? 200,
    bytesWritten: 20,
    identity,
    headSentAt,
    answeredBy: { requestId, requestNumber: number },
    connection: { peerAddress: '192.0.2.7', peerPort: 1 } as Exchange['connection'],
  };
  return { exchange: exchange as Exchange, startedAt, endedAt, time: 1_767_322_845_678 + endedAt };
}

const identityOf = (): Identity => ({ memo: undefined, hasBody: false });

/** Requests of two heads: ids that grow by a digit, other statuses and times between, and one without a number. */
function mixedFacts(): AccessFacts[] {
  const [first, second] = [identityOf(), identityOf()];
  return [
    ...[33, 34, 35, 36, 37].map((number) => factsOf('/a', first, { number })),
    factsOf('/b', second, { number: 38 }),
    factsOf('/a', first, { number: 39 }),
    factsOf('/a', first, { number: 40, status: 404 }),
    factsOf('/a', first, { number: 41 }),
    ...[1295, 1296].map((number) => factsOf('/a', first, { number, times: [12, 14] })),
    factsOf('/a', first, { number: undefined, times: [12, 14] }),
    ...[1297, 1298].map((number) => factsOf('/a', first, { number, times: [12, 14, 13] })),
    factsOf('/a', first, { number: 2 ** 31, times: [12, 14, 13] }),
    factsOf('/a', first, { number: 2 ** 31 + 1, times: [12, 14, 13.5] }),
    factsOf('/a', first, { number: 2 ** 31 + 1, times: [11, 14, 13.5] }),
  ];
}

for (const format of [
  'text',
  'json',
  'pino',
  'combined',
  { template: '{status}' },
  { template: '{request_id} {time} {request_id} {first_byte}' },
] satisfies readonly AccessFormat[]) {
  const name = typeof format === 'string' ? format : format.template;
  test(`Lines that wait become what each of them is alone: ${name}`, () => {
    const writer = writerOf(format);
    const lines = new Collected();
    const all = mixedFacts();
    for (const facts of all) writer.write(facts, lines);
    const expected = all.map((facts) => writer.text(facts));
    assert.deepEqual(lines.ask(), expected);
    // nothing is left of them, and what comes next stands behind
    for (const facts of all) writer.write(facts, lines);
    assert.deepEqual(lines.ask(), [...expected, ...expected]);
  });
}

test('Lines wait until they are asked for, until their texts have 192 KiB, or until there are 4,096', () => {
  const identity = identityOf();
  const long = new Collected();
  const target = `/${'x'.repeat(1900)}`;
  const writer = writerOf('text');
  for (let number = 1; number <= 90; number++) writer.write(factsOf(target, identity, { number }), long);
  assert.equal(long.lines.length, 0);
  for (let number = 91; number <= 110; number++) writer.write(factsOf(target, identity, { number }), long);
  assert.ok(long.lines.length >= 91 && long.lines.length < 110, `${long.lines.length} lines`);
  assert.equal(long.ask().length, 110);

  const short = new Collected();
  const shortWriter = writerOf({ template: '{status}' });
  const facts = factsOf('/', identityOf(), { number: 1 });
  for (let i = 0; i < 4095; i++) shortWriter.write(facts, short);
  assert.equal(short.lines.length, 0);
  shortWriter.write(facts, short);
  assert.equal(short.lines.length, 4096);
});

test('Requests of different times fill the list sooner, and keep their order', () => {
  const lines = new Collected();
  const writer = writerOf({ template: '{duration}' });
  const identity = identityOf();
  const all = Array.from({ length: 2100 }, (_, i) => factsOf('/', identity, { number: i, times: [0, i] }));
  for (const facts of all) writer.write(facts, lines);
  assert.equal(lines.lines.length, 2048);
  assert.deepEqual(
    lines.ask(),
    all.map((facts) => writer.text(facts)),
  );
});

test('Lines of one writer stand before those of the writer that comes behind it', () => {
  const lines = new Collected();
  const [before, after] = [writerOf('text'), writerOf({ template: '{target}' })];
  const identity = identityOf();
  before.write(factsOf('/before', identity, { number: 1 }), lines);
  after.write(factsOf('/text', identity), lines);
  before.write(factsOf('/again', identityOf(), { number: 2 }), lines);
  after.write(factsOf('/after', identityOf(), { number: 3 }), lines);
  assert.deepEqual(
    lines.ask().map((line) => /\/\w+/.exec(line)?.[0]),
    ['/before', '/text', '/again', '/after'],
  );
});

test('Lines without room are left out, and the others are whole', () => {
  const lines = new Collected();
  const writer = writerOf('text');
  const identity = identityOf();
  const all = [1, 2, 3, 4].map((number) => factsOf('/', identity, { number }));
  for (const facts of all) writer.write(facts, lines);
  lines.room = 2;
  assert.equal(lines.ask().length, 2);
  lines.room = 100;
  for (const facts of all) writer.write(facts, lines);
  assert.deepEqual(
    lines.ask(),
    [0, 1, 0, 1, 2, 3].map((i) => writer.text(all[i] as AccessFacts)),
  );
});
