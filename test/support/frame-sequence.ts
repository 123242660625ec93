/**
 * Random sequences of HTTP/2 frames for fuzzing: most frames are legal, and every kind of fault occurs among them.
 *
 * Long because a generator of sequences needs one of each kind of frame, and of each fault.
 */
import fc from 'fast-check';
import {
  block,
  CODE,
  dataFrame,
  END_BOTH,
  type Field,
  frame,
  goawayFrame,
  headersFrame,
  indexed,
  literalIndexed,
  PRIORITY_FLAG,
  padded,
  pingFrame,
  priority,
  requestFields,
  SETTING,
  settingsFrame,
  uint32,
} from './h2-bytes.ts';
import { FLAG, FRAME } from './wire-client.ts';

/** One action of a client; most actions are one frame. */
export interface Step {
  readonly kind:
    | 'request'
    | 'malformed'
    | 'undecodable'
    | 'unfinished'
    | 'data'
    | 'trailers'
    | 'reset'
    | 'window'
    | 'priority'
    | 'settings'
    | 'ping'
    | 'goaway'
    | 'unknown'
    | 'continuation'
    | 'promise'
    | 'any';
  /** 0: the connection. Undefined: the next unused stream. Negative: a stream already opened; -1 is the first one. */
  readonly stream?: number | undefined;
  readonly what: string;
  render(stream: number): Buffer;
}

/** A step and the stream it is sent on. */
export interface SentStep {
  readonly kind: Step['kind'];
  readonly what: string;
  readonly stream: number;
  readonly bytes: Buffer;
}

const MANY_PLAIN = new Array<string>(10).fill('plain');
/** Chooses the right size most of the time. */
const mostly = (right: number, wrong: number): fc.Arbitrary<number> =>
  fc.integer({ min: 0, max: 24 }).map((n) => (n === 0 ? wrong : right));
const MANY_UNPADDED = new Array<number>(20).fill(-1);
const PATHS = [
  '/hello',
  '/hello',
  '/echo',
  '/echo',
  '/unread',
  '/none',
  '/wait',
  '/part',
  '/missing',
] as const;

const FAULTS: readonly (readonly [what: string, fields: readonly Field[]])[] = [
  ['upper case', requestFields('/hello', [['X-Upper', '1']])],
  ['connection', requestFields('/hello', [['connection', 'close']])],
  ['te', requestFields('/hello', [['te', 'gzip']])],
  ['no path', requestFields('/hello').slice(0, 3)],
  ['empty path', requestFields('')],
  ['two methods', [[':method', 'GET'], ...requestFields('/hello')]],
  ['late pseudo', [['x', 'y'], ...requestFields('/hello')]],
  ['unknown pseudo', [[':x', 'y'], ...requestFields('/hello')]],
  ['status', [...requestFields('/hello'), [':status', '200']]],
  ['line feed', requestFields('/hello', [['x', 'a\nb']])],
  ['length', requestFields('/hello', [['content-length', '7']])],
  ['nothing', []],
];

/** Most often a stream that has been opened. */
const stream = fc.oneof(
  { weight: 40, arbitrary: fc.constantFrom(-1, -2, -3, -4) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 2, 3, 4, 5, 9, 99) },
);
/** Most often the next unused stream. */
const newStream = fc.oneof(
  { weight: 40, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: stream },
);

const request = fc.record({
  stream: newStream,
  path: fc.constantFrom(...PATHS),
  ends: fc.boolean(),
  shape: fc.constantFrom(...MANY_PLAIN, 'padded', 'priority', 'pieces', 'insert', 'insert', 'table'),
});

function renderRequest({
  path,
  ends,
  shape,
}: {
  path: string;
  ends: boolean;
  shape: string;
}): (id: number) => Buffer {
  const fields = block(requestFields(path, [], ends ? 'GET' : 'POST'));
  const end = ends ? FLAG.endStream : 0;
  const whole = end | FLAG.endHeaders;
  return (id) => {
    switch (shape) {
      case 'padded':
        return headersFrame(id, padded(fields, 7), whole | FLAG.padded);
      case 'priority':
        return headersFrame(id, Buffer.concat([priority(id === 1 ? 3 : 1), fields]), whole | PRIORITY_FLAG);
      case 'pieces':
        return Buffer.concat([
          headersFrame(id, fields.subarray(0, 10), end),
          frame(FRAME.continuation, 0, id, fields.subarray(10, 11)),
          frame(FRAME.continuation, FLAG.endHeaders, id, fields.subarray(11)),
        ]);
      case 'insert':
        return headersFrame(id, Buffer.concat([fields, literalIndexed('x-kept', 'yes')]), whole);
      case 'table':
        return headersFrame(id, Buffer.concat([fields, indexed(62)]), whole);
      default:
        return headersFrame(id, fields, whole);
    }
  };
}

const LEGAL_SETTINGS: readonly (readonly (readonly [number, number])[])[] = [
  [],
  [[SETTING.initialWindowSize, 0]],
  [[SETTING.initialWindowSize, 3]],
  [[SETTING.initialWindowSize, 100_000]],
  [[SETTING.maxFrameSize, 20_000]],
  [[SETTING.enablePush, 0]],
  [[SETTING.headerTableSize, 0]],
  [[SETTING.headerTableSize, 4096]],
  [[SETTING.maxConcurrentStreams, 0]],
  [[0x4242, 1]],
  [
    [SETTING.initialWindowSize, 0],
    [SETTING.initialWindowSize, 4],
  ],
];
const SETTINGS: readonly (readonly (readonly [number, number])[])[] = [
  [[SETTING.initialWindowSize, 0x7fffffff]],
  [[SETTING.initialWindowSize, 0x80000000]],
  [[SETTING.maxFrameSize, 100]],
  [[SETTING.enablePush, 7]],
];

const FEW = [1, 2, 3, 100, 5_000, 70_000];
const INCREMENTS = [...FEW, ...FEW, ...FEW, 0x7fffffff - 65_535, 0x7fffffff, 0, 0x80000000];

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 30,
    arbitrary: request.map(
      (own): Step => ({
        kind: 'request',
        stream: own.stream,
        what: `${own.path} ${own.shape}${own.ends ? ' whole' : ''}`,
        render: renderRequest(own),
      }),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(newStream, fc.constantFrom(...FAULTS), fc.boolean()).map(
      ([id, [what, fields], ends]): Step => ({
        kind: 'malformed',
        stream: id,
        what: `${what}${ends ? ' whole' : ''}`,
        render: (own) => headersFrame(own, fields, ends ? END_BOTH : FLAG.endHeaders),
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(newStream, fc.constantFrom('80', 'ff8080', '00', '3fe2ff7f', '000361')).map(
      ([id, text]): Step => ({
        kind: 'undecodable',
        stream: id,
        what: text,
        render: (own) => headersFrame(own, Buffer.from(text, 'hex')),
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: newStream.map(
      (id): Step => ({
        kind: 'unfinished',
        stream: id,
        what: '',
        render: (own) => headersFrame(own, block(requestFields('/hello')), FLAG.endStream),
      }),
    ),
  },
  {
    weight: 18,
    arbitrary: fc
      .tuple(
        stream,
        fc.constantFrom('', 'a', 'some content'),
        fc.boolean(),
        fc.constantFrom(...MANY_UNPADDED, 0, 9, 9, 99),
      )
      .map(
        ([id, content, ends, pad]): Step => ({
          kind: 'data',
          stream: id,
          what: `${content.length}${ends ? ' last' : ''}${pad < 0 ? '' : ` padded ${pad}`}`,
          render: (own) => {
            const end = ends ? FLAG.endStream : 0;
            if (pad < 0) return dataFrame(own, content, end);
            // 99 stands for more padding than the frame holds
            const payload = padded(Buffer.from(content), pad === 99 ? 0 : pad, pad);
            return frame(FRAME.data, end | FLAG.padded, own, payload);
          },
        }),
      ),
  },
  {
    weight: 5,
    arbitrary: fc.tuple(stream, fc.constantFrom('x-sum', ':path', 'X-Sum'), fc.boolean()).map(
      ([id, name, ends]): Step => ({
        kind: 'trailers',
        stream: id,
        what: `${name}${ends ? '' : ' open'}`,
        render: (own) => headersFrame(own, [[name, '1']], ends ? END_BOTH : FLAG.endHeaders),
      }),
    ),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(stream, fc.constantFrom(0, 8, 0xffff), mostly(4, 3)).map(
      ([id, code, size]): Step => ({
        kind: 'reset',
        stream: id,
        what: `${code} of ${size}`,
        render: (own) => frame(FRAME.rstStream, 0, own, uint32(code).subarray(0, size)),
      }),
    ),
  },
  {
    weight: 10,
    arbitrary: fc.tuple(fc.oneof(stream, fc.constant(0)), fc.constantFrom(...INCREMENTS), mostly(4, 5)).map(
      ([id, increment, size]): Step => ({
        kind: 'window',
        stream: id,
        what: `${increment} of ${size}`,
        render: (own) =>
          frame(FRAME.windowUpdate, 0, own, Buffer.concat([uint32(increment), Buffer.alloc(size - 4)])),
      }),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(stream, fc.constantFrom(0, 1, 3, 11), mostly(5, 4)).map(
      ([id, on, size]): Step => ({
        kind: 'priority',
        stream: id,
        what: `on ${on} of ${size}`,
        render: (own) => frame(FRAME.priority, 0, own, priority(on).subarray(0, size)),
      }),
    ),
  },
  {
    weight: 8,
    arbitrary: fc.constantFrom(...SETTINGS, ...LEGAL_SETTINGS, ...LEGAL_SETTINGS).map(
      (pairs): Step => ({
        kind: 'settings',
        stream: 0,
        what: JSON.stringify(pairs),
        render: () => settingsFrame(...pairs),
      }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom<readonly [string, number, number]>(
        ['ping', 0, 0],
        ['ping', 0, 0],
        ['acknowledgement', FLAG.ack, 0],
        ['on a stream', 0, 1],
      )
      .map(
        ([what, flags, id]): Step => ({
          kind: 'ping',
          stream: id,
          what,
          render: (own) => frame(FRAME.ping, flags, own, pingFrame('fuzzing!').subarray(9)),
        }),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(CODE.noError, CODE.internalError).map(
      (code): Step => ({
        kind: 'goaway',
        stream: 0,
        what: String(code),
        render: () => goawayFrame(0, code),
      }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(stream, fc.integer({ min: 0xb0, max: 0xff }), fc.integer({ min: 0, max: 255 })).map(
      ([id, type, flags]): Step => ({
        kind: 'unknown',
        stream: id,
        what: String(type),
        render: (own) => frame(type, flags, own, Buffer.from('unknown')),
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: stream.map(
      (id): Step => ({
        kind: 'continuation',
        stream: id,
        what: '',
        render: (own) => frame(FRAME.continuation, FLAG.endHeaders, own, block([['x', 'y']])),
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: stream.map(
      (id): Step => ({
        kind: 'promise',
        stream: id,
        what: '',
        render: (own) =>
          frame(
            FRAME.pushPromise,
            FLAG.endHeaders,
            own,
            Buffer.concat([uint32(2), block(requestFields('/hello'))]),
          ),
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.integer({ min: 0, max: 10 }),
        fc.integer({ min: 0, max: 255 }),
        stream,
        fc.uint8Array({ maxLength: 20 }),
      )
      .map(
        ([type, flags, id, payload]): Step => ({
          kind: 'any',
          stream: id,
          what: `${type}/${flags} ${Buffer.from(payload).toString('hex')}`,
          render: (own) => frame(type, flags, own, payload),
        }),
      ),
  },
);

/** Up to nine steps. The first one is often a request, so that later steps have a stream to refer to. */
export const frameSequence: fc.Arbitrary<readonly Step[]> = fc.array(step, { minLength: 1, maxLength: 9 });

const OPENING: ReadonlySet<string> = new Set([
  'request',
  'malformed',
  'undecodable',
  'unfinished',
  'trailers',
]);

/** Gives every step its stream and its bytes. */
export function renderSteps(steps: readonly Step[]): readonly SentStep[] {
  let highest = -1;
  const opened: number[] = [];
  const sent: SentStep[] = [];
  for (const own of steps) {
    let id = own.stream ?? highest + 2;
    // no stream is open yet, so the step is left out
    if (id < 0 && opened.length === 0) continue;
    if (id < 0) id = opened[(-1 - id) % opened.length] as number;
    if (own.stream === undefined) opened.push(id);
    if (OPENING.has(own.kind) && id > highest && id % 2 === 1) highest = id;
    sent.push({ kind: own.kind, what: own.what, stream: id, bytes: own.render(id) });
  }
  return sent;
}

export function describeSteps(steps: readonly SentStep[]): string {
  return steps.map(({ kind, stream: id, what }) => `${kind}@${id}(${what})`).join(' ');
}
