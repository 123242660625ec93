/** Lets troubles loose on the gateway, in an order that a seed decides, while bystanders ask; says what has happened to whom. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Bystander, type Experience } from './bystander.ts';
import { Http1Asker, Http2Asker } from './bystanders/askers.ts';
import { EventListener, WebSocketTalker } from './bystanders/listeners.ts';
import { TROUBLES, type Trouble } from './troubles.ts';
import { until, World } from './world.ts';

export interface ChaosReport {
  readonly seed: number;
  readonly seconds: number;
  readonly bystanders: Readonly<Record<string, Experience>>;
  /** How often each trouble was there. */
  readonly troubles: Readonly<Record<string, number>>;
  /** What was wrong; empty when all is well. */
  readonly faults: readonly string[];
  /** Of the process that served last, before the first trouble and behind the last. */
  readonly before: Holdings;
  readonly after: Holdings;
}

type Holdings = ReturnType<World['holdings']>;

/** A connection that is cut so long after a trouble is cut by it: a drain has 5 s. */
const AFTERMATH_MS = 15_000;
/** Descriptors are free again then. */
const REFUSALS_BEHIND_MS = 2000;
/** What a process that has just begun may still take, beside one that has served for a while. */
const MEGABYTES_MORE_MAX = 96;
const DESCRIPTORS_MORE_MAX = 4;

interface Span {
  readonly trouble: Trouble;
  readonly from: number;
  to: number;
}

/** `words`: only troubles whose name contains one of them. */
export async function runChaos(
  seconds: number,
  seed: number,
  tell: (line: string) => void,
  words: readonly string[] = [],
): Promise<ChaosReport> {
  const world = new World();
  const faults: string[] = [];
  const spans: Span[] = [];
  try {
    await world.start();
    const { descriptors } = world.holdings();
    const bystanders = makeBystanders(world);
    const runs = Promise.all(bystanders.map((one) => one.run()));
    await calmBeginning(bystanders);
    const before = { ...world.holdings(), descriptors };
    const first = world.descriptors();
    const chosen = TROUBLES.filter(
      ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
    );
    const end = performance.now() + seconds * 1000;
    for (const trouble of endlessly(chosen, seed)) {
      if (performance.now() > end) break;
      const span = { trouble, from: performance.now(), to: Number.POSITIVE_INFINITY };
      spans.push(span);
      try {
        await trouble.run(world);
      } catch (error) {
        faults.push(`${trouble.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
      span.to = performance.now();
      tell(`${((span.to - span.from) / 1000).toFixed(1).padStart(6)} s  ${trouble.name}`);
    }
    await answersAgain(bystanders);
    for (const one of bystanders) one.end();
    await runs;
    const after = await untilStill(world, before, first, faults);
    faults.push(...bystanders.flatMap((one) => judge(one, spans)));
    if (faults.length > 0) tell(world.log.split('\n').slice(-200).join('\n'));
    return {
      seed,
      seconds,
      bystanders: Object.fromEntries(bystanders.map(({ name, experience }) => [name, experience])),
      troubles: Object.fromEntries(
        chosen.map((trouble) => [trouble.name, spans.filter((span) => span.trouble === trouble).length]),
      ),
      faults,
      before,
      after,
    };
  } catch (error) {
    tell(world.log.split('\n').slice(-50).join('\n'));
    throw error;
  } finally {
    await world.stop();
  }
}

/** Without trouble all is well: else the stage is not. */
async function calmBeginning(bystanders: readonly Bystander[]): Promise<void> {
  const suffers = ({ experience }: Bystander): boolean =>
    experience.failures.length > 0 || experience.cuts.length > 2;
  await until(
    () => bystanders.every(({ experience }) => experience.answers > 5) || bystanders.some(suffers),
    'a calm beginning',
  );
  for (const one of bystanders.filter(suffers)) {
    const [first] = [...one.experience.failures, ...one.experience.cuts];
    throw new Error(`${one.name} suffers without any trouble: ${first?.text}`);
  }
}

function makeBystanders(world: World): Bystander[] {
  const place = { port: world.port, ca: world.ca };
  const hello = {
    path: (n: number) => `/app/hello?${n}`,
    answer: (n: number) => `hello ${n}`,
    needsDescriptor: false,
  };
  const passed = {
    path: (n: number) => `/proxy/${n}`,
    answer: (n: number) => `upstream /proxy/${n}`,
    needsDescriptor: true,
  };
  return [
    new Http2Asker('HTTP/2', place, hello),
    new Http1Asker('HTTP/1.1', place, hello),
    new Http2Asker('proxy, HTTP/2', place, passed),
    new Http1Asker('proxy, HTTP/1.1', place, passed),
    new WebSocketTalker('WebSocket, HTTP/1.1', place, 'HTTP/1.1', '/app/echo'),
    new WebSocketTalker('WebSocket, HTTP/2', place, 'HTTP/2', '/app/echo'),
    new EventListener('events', place, '/app/events'),
  ].map((conversation) => new Bystander(conversation));
}

/** Each trouble once, in an order of chance; then again in another order. */
function* endlessly(troubles: readonly Trouble[], seed: number): Generator<Trouble> {
  let state = seed;
  const random = (): number => {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  for (;;) {
    const left = [...troubles];
    while (left.length > 0) {
      const [next] = left.splice(Math.floor(random() * left.length), 1);
      if (next !== undefined) yield next;
    }
  }
}

/** Whoever was cut has found the way back. */
async function answersAgain(bystanders: readonly Bystander[]): Promise<void> {
  const counts = bystanders.map(({ experience }) => experience.answers + experience.failures.length);
  await until(
    () =>
      bystanders.every(
        ({ experience }, i) => experience.answers + experience.failures.length > (counts[i] ?? 0) + 3,
      ),
    'answers behind the last trouble',
  );
}

/** Without clients, what is held goes back to what it was. */
async function untilStill(
  world: World,
  before: Holdings,
  first: Readonly<Record<string, number>>,
  faults: string[],
): Promise<Holdings> {
  // connections to servers may wait for their next use
  await world.killUpstreams();
  let now = world.holdings();
  const isMore = (): boolean =>
    now.descriptors > before.descriptors + DESCRIPTORS_MORE_MAX ||
    now.threads > before.threads ||
    now.megabytes > before.megabytes + MEGABYTES_MORE_MAX ||
    now.processes > 1;
  for (let tries = 0; tries < 60 && isMore(); tries++) {
    await sleep(500);
    now = world.holdings();
  }
  if (isMore())
    faults.push(
      `More is held than at the beginning: ${JSON.stringify(now)} and ${JSON.stringify(before)}; ${JSON.stringify(world.descriptors())}, once ${JSON.stringify(first)}`,
    );
  return now;
}

function judge({ name, experience }: Bystander, spans: readonly Span[]): string[] {
  const faults = experience.failures.map(({ at, text }) => `${name} ${text} ${during(at, spans)}`);
  for (const { at, text } of experience.cuts) {
    const isExcused = spans.some(
      ({ trouble, from, to }) => trouble.cuts && at >= from && at <= to + AFTERMATH_MS,
    );
    if (!isExcused) faults.push(`${name} was cut: ${text} ${during(at, spans)}`);
  }
  for (const { at, text } of experience.refusals) {
    const isExcused = spans.some(
      ({ trouble, from, to }) => trouble.refuses === true && at >= from && at <= to + REFUSALS_BEHIND_MS,
    );
    if (!isExcused) faults.push(`${name} was refused: ${text} ${during(at, spans)}`);
  }
  return faults.slice(0, 10);
}

function during(at: number, spans: readonly Span[]): string {
  const last = spans.findLast(({ from }) => from <= at);
  if (last === undefined) return '(before all trouble)';
  return `(${at <= last.to ? 'amid' : 'after'}: ${last.trouble.name})`;
}
