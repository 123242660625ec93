/** Compares what two servers did with one sequence of frames. A rule here has to explain each difference. */
import type { SentStep } from './frame-sequence.ts';
import { isOver, type Outcome } from './fuzz-outcome.ts';
import { CODE, SETTING } from './h2-bytes.ts';

/** A difference in what happened to the connection or to a stream. */
export interface Difference {
  readonly stream: number;
  readonly own: string;
  readonly node: string;
}

interface Rule {
  readonly name: string;
  explains(difference: Difference, own: Outcome, node: Outcome, steps: readonly SentStep[]): boolean;
}

const alive = 'alive';

/** True when a step of one of the kinds comes on a stream that earlier steps have ended, reset, got reset or skipped. */
function touchesClosed(steps: readonly SentStep[], own: Outcome): boolean {
  const used = new Set<number>([0]);
  const closed = new Set<number>();
  for (const { kind, stream, what, bytes } of steps) {
    const isClosed = closed.has(stream) || (!used.has(stream) && stream < Math.max(...used));
    if (isClosed && kind !== 'priority' && kind !== 'unknown') return true;
    if (bytes[3] === 1) used.add(stream);
    const ends = /whole|last/.test(what) || (kind === 'trailers' && !what.includes('open'));
    if (kind === 'reset' || kind === 'malformed' || ends || own.resets.has(stream)) closed.add(stream);
  }
  return false;
}

/** True when a field block comes on a stream whose number is below one already used. */
function goesBack(steps: readonly SentStep[]): boolean {
  let highest = 0;
  const used = new Set<number>();
  for (const { kind, stream, bytes } of steps) {
    if (bytes[3] !== 1) continue;
    if (stream < highest && !used.has(stream)) return true;
    if (kind !== 'any') used.add(stream);
    highest = Math.max(highest, stream);
  }
  return false;
}

/** nghttp2 ignores PRIORITY since its release 1.65, which Node has since release 22. */
const looksIntoPriority = Number.parseInt(process.versions.node, 10) < 22;

const RULES: readonly Rule[] = [
  {
    // it ignores even stream 0 (RFC 9113 §6.3) and a stream that depends on itself (RFC 7540 §5.3.1)
    name: 'node:http2 does not look into PRIORITY from release 22 on',
    explains: ({ stream }, own, _node, steps) =>
      !looksIntoPriority &&
      steps.some(
        ({ kind, stream: on, what }) => kind === 'priority' && (on === 0 || what.startsWith(`on ${on} of`)),
      ) &&
      (own.goaway === CODE.protocolError || own.resets.get(stream)?.includes(CODE.protocolError) === true),
  },
  {
    // nghttp2 finds the right code, but Node ends the session with its own code or with none
    name: 'node:http2 names INTERNAL_ERROR or nothing when the connection has an error',
    explains: ({ stream }, own, node) =>
      stream === 0 &&
      isOver(own) &&
      isOver(node) &&
      (node.goaway === undefined || node.goaway === CODE.internalError),
  },
  {
    // RFC 9113 §5.4.1 allows either; our sessions keep the connection
    name: 'node:http2 ends the connection for an error of a stream',
    explains: ({ stream }, own, node) =>
      stream === 0 &&
      isOver(node) &&
      [...own.resets.values()]
        .flat()
        .some(
          (code) => code === node.goaway || node.goaway === CODE.internalError || node.goaway === undefined,
        ),
  },
  {
    // RFC 9113 §6.7 defines no error for it
    name: 'node:http2 ends the connection for an acknowledgement of PING nobody asked for',
    explains: ({ stream }, _own, node, steps) =>
      stream === 0 &&
      isOver(node) &&
      steps.some(
        ({ kind, what, bytes }) =>
          (kind === 'ping' && what === 'acknowledgement') || (bytes[3] === 6 && ((bytes[4] ?? 0) & 1) === 1),
      ),
  },
  {
    // our sessions serve until the client closes (§6.8: open streams are completed)
    name: 'node:http2 says GOAWAY as soon as its client has said it',
    explains: ({ stream }, _own, node, steps) =>
      stream === 0 && node.goaway === CODE.noError && steps.some(({ bytes }) => bytes[3] === 7),
  },
  {
    name: 'node:http2 ignores frames on streams that are closed (RFC 9113 §5.1)',
    explains: ({ stream }, own, node, steps) =>
      stream === 0 &&
      isOver(own) &&
      // or our session continues until the next fault
      (!isOver(node) || (own.goaway === CODE.streamClosed && node.goaway === CODE.compressionError)) &&
      touchesClosed(steps, own),
  },
  {
    name: 'node:http2 ignores a smaller stream id (RFC 9113 §5.1.1)',
    explains: ({ stream }, own, node, steps) =>
      stream === 0 &&
      isOver(own) &&
      (own.goaway === CODE.protocolError || own.goaway === CODE.streamClosed) &&
      !isOver(node) &&
      goesBack(steps),
  },
  {
    // Node reads all that has arrived before it answers; our sessions answer in the order of the frames
    name: 'what came in the same segment overtakes an answer of node:http2',
    explains: ({ stream, own, node }, _own, _node, steps) =>
      withoutResets(own).startsWith(withoutResets(node)) &&
      resetsOf(own) === resetsOf(node) &&
      steps.some(
        (step) =>
          step.kind === 'settings' ||
          (step.stream === stream && step.kind !== 'malformed' && step.kind !== 'unknown'),
      ),
  },
  {
    // it does so when the end of the request waits to be read, which is a matter of time; RFC 9113 §8.1 allows it after the answer
    name: 'node:http2 resets a stream without an error behind a whole answer',
    explains: ({ own, node: theirs }) => / end$/.test(own) && theirs === `${own} reset 0`,
  },
  {
    name: 'node:http2 serves a request with a line feed in a value (RFC 9113 §8.2.1)',
    explains: ({ stream, own }, _own, _node, steps) =>
      own.includes(' reset 1') &&
      steps.some((step) => step.stream === stream && step.what.startsWith('line feed')),
  },
  {
    // Node has forgotten the stream; our sessions ignore window updates on it
    name: 'node:http2 ends the connection for an illegal increment on a stream that has been answered',
    explains: ({ stream }, _own, node, steps) =>
      stream === 0 &&
      isOver(node) &&
      steps.some(({ kind, what }) => {
        const increment = Number(what.split(' ')[0]);
        return (
          kind === 'window' && (increment === 0 || increment >= LARGE_INCREMENT || settingPassesWindow(steps))
        );
      }),
  },
  {
    // our session ends the connection, or has already answered the stream
    name: 'node:http2 resets the stream whose window a setting makes larger than 2^31-1 (RFC 9113 §6.9.2)',
    explains: ({ stream, node: theirs }, own, node, steps) =>
      !isOver(node) &&
      settingPassesWindow(steps) &&
      (stream === 0 ? own.goaway === CODE.flowControlError : theirs.includes(' reset 3')),
  },
  {
    // RFC 9113 §5.1: an endpoint ignores frames that were sent before the peer received its RST_STREAM
    name: 'node:http2 ends the connection for frames on their way to a stream that it has reset',
    explains: ({ stream }, own, node, steps) =>
      stream === 0 && node.goaway === CODE.streamClosed && touchesClosed(steps, own),
  },
  {
    // RFC 9113 §5.1: both sides have ended the stream, so it is closed, and no further frame may follow. §8.1.1 allows the
    // response before the reset. A client that stops its upload after the response has made no error. Frames behind that are on a
    // closed stream.
    name: 'our sessions take a body that ends short of its content-length behind the whole answer',
    explains: ({ stream, own: ours, node: theirs }, _own, _node, steps) =>
      / end(?: reset 5)*$/.test(ours) &&
      theirs.endsWith('reset 1') &&
      steps.some(({ kind, stream: on, what }) => kind === 'malformed' && on === stream && what === 'length'),
  },
  {
    // RFC 9113 §5.4 does not say which of the two errors is reported
    name: 'one frame with two faults is named after either',
    explains: ({ stream }, own, node, steps) =>
      stream === 0 &&
      isOver(own) &&
      isOver(node) &&
      steps.some(
        ({ kind, what }) =>
          kind === 'any' || what.includes('padded 99') || WRONG_SIZE.test(`${kind} ${what}`),
      ),
  },
];

/** Frame sizes that are always wrong. */
const WRONG_SIZE = /^reset .* of 3$|^window .* of 5$|^priority .* of 4$/;
/** The largest window (RFC 9113 §6.9.1). */
const WINDOW_MAX = 0x7fffffff;
/** The smallest increment that exceeds the largest window. */
const LARGE_INCREMENT = WINDOW_MAX - 65_535;

/** True when the largest initial window and the increments of one stream exceed the largest window. */
function settingPassesWindow(steps: readonly SentStep[]): boolean {
  const initial = steps.map(({ kind, what }) => (kind === 'settings' ? initialWindow(what) : 0));
  const increments = new Map<number, number>();
  for (const { kind, stream, what } of steps)
    if (kind === 'window') increments.set(stream, (increments.get(stream) ?? 0) + Number(what.split(' ')[0]));
  increments.delete(0);
  const largest = Math.max(0, ...initial);
  return largest + Math.max(0, ...increments.values()) >= WINDOW_MAX && largest > 0;
}

/** Returns the largest SETTINGS_INITIAL_WINDOW_SIZE of a step of settings; 0: the step has none. */
function initialWindow(what: string): number {
  const pairs = JSON.parse(what) as readonly (readonly [number, number])[];
  return Math.max(0, ...pairs.filter(([id]) => id === SETTING.initialWindowSize).map(([, value]) => value));
}

const withoutResets = (what: string): string => what.replace(/ reset \d+/g, '').trimEnd();
/** Counts several STREAM_CLOSED resets as one. */
const resetsOf = (what: string): string =>
  (what.match(/ reset \d+/g) ?? []).filter((reset) => reset !== ' reset 5').join();

/** Returns the names of the rules that explain differences, and the differences that no rule explains. */
export function compareOutcomes(
  own: Outcome,
  node: Outcome,
  steps: readonly SentStep[],
): { readonly rules: readonly string[]; readonly unexplained: readonly Difference[] } {
  const rules: string[] = [];
  const unexplained: Difference[] = [];
  for (const difference of differences(own, node)) {
    const rule = RULES.find((candidate) => candidate.explains(difference, own, node, steps));
    if (rule === undefined) unexplained.push(difference);
    else rules.push(rule.name);
  }
  return { rules, unexplained };
}

/** Compares streams only while both connections live, because it depends on timing what is sent before the end. */
function differences(own: Outcome, node: Outcome): readonly Difference[] {
  if (isOver(own) || isOver(node)) {
    const [first, second] = [fate(own), fate(node)];
    return first === second ? [] : [{ stream: 0, own: first, node: second }];
  }
  const found: Difference[] = [];
  for (const stream of new Set([...own.streams.keys(), ...node.streams.keys()])) {
    const first = own.streams.get(stream) ?? '';
    const second = node.streams.get(stream) ?? '';
    if (first !== second) found.push({ stream, own: first, node: second });
  }
  return found;
}

function fate(outcome: Outcome): string {
  if (outcome.goaway !== undefined) return `goaway ${outcome.goaway}`;
  return outcome.closed ? 'closed' : alive;
}
