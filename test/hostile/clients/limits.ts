/** Limits that clients meet, each below, at and above. */
import { FRAME, type WireClient } from '../../support/wire-client.ts';
import type { HostileClient } from '../offender.ts';
import { CLIENT_LIMITS, type Target } from '../target.ts';
import { outcomeOf, until } from './outcome.ts';

interface Limit {
  readonly name: string;
  readonly at: number;
  readonly act: (target: Target, n: number) => Promise<string>;
  readonly within: RegExp;
  readonly above: RegExp;
  /** How far above and below; 1 when not given. Where time gives something back, one is too near. */
  readonly step?: number;
}

const END = 'Host: a\r\nConnection: close\r\n';
const PATIENCE_MS = 10_000;
/** Of the HTTP/2 head that all requests have here, as RFC 9113 §6.5.2 counts it. */
const FIELD_OVERHEAD = 32;
/** Not the address of other hostile clients, whose connections count for theirs. */
const CROWD_ADDRESS = '127.0.0.10';

async function answer(target: Target, bytes: string): Promise<string> {
  return await outcomeOf(await target.secure(), bytes);
}

/** A request head of `bytes` bytes in all. */
function headOf(bytes: number): string {
  const start = `GET /hostile/hello?x HTTP/1.1\r\n${END}X: `;
  return `${start}${'v'.repeat(bytes - start.length - 4)}\r\n\r\n`;
}

function post(fields: string, body: string): string {
  return `POST /hostile/echo HTTP/1.1\r\n${END}${fields}\r\n\r\n${body}`;
}

async function http2Head(target: Target, bytes: number): Promise<string> {
  const wire = await target.wire();
  const pseudo = [':methodGET', ':schemehttps', ':authoritylocalhost', ':path/hostile/fields', 'x-a'];
  const size = pseudo.reduce((sum, text) => sum + text.length + FIELD_OVERHEAD, 0);
  wire.request(1, '/hostile/fields', { fields: [['x-a', 'v'.repeat(bytes - size)]] });
  const { status } = await wire.response(1);
  wire.destroy();
  return String(status);
}

async function http2Streams(target: Target, count: number): Promise<string> {
  const wire = await target.wire();
  for (let i = 0; i < count; i++) wire.request(2 * i + 1, '/hostile/hold');
  await wire.ping();
  const refused = wire.frames.filter(({ type }) => type === FRAME.rstStream).length;
  wire.destroy();
  return `${refused} refused`;
}

async function http2Frames(
  target: Target,
  count: number,
  send: (wire: WireClient, i: number) => void,
): Promise<string> {
  const wire = await target.wire();
  for (let i = 0; i < count; i++) send(wire, i);
  const isOver = (): boolean =>
    wire.closed ||
    wire.frames.some(
      ({ type, flags, payload }) =>
        type === FRAME.goaway || (type === FRAME.ping && (flags & 1) !== 0 && payload[0] === 1),
    );
  wire.send(FRAME.ping, 0, 0, Buffer.alloc(8, 1));
  await until(isOver, PATIENCE_MS);
  const goaway = wire.frames.find(({ type }) => type === FRAME.goaway);
  wire.destroy();
  return goaway === undefined ? 'goes on' : `GOAWAY ${goaway.payload.readUInt32BE(4)}`;
}

/** Opens so many connections from one address, and then tells how many of them the gateway has closed. */
async function crowd(target: Target, count: number): Promise<string> {
  // together: on a busy machine the first would reach the limit of a handshake before the last has come
  const clients = await Promise.all(Array.from({ length: count }, () => target.tcp(CROWD_ADDRESS)));
  // those before it have been looked at when this one is answered
  await answer(target, `GET /hostile/hello?x HTTP/1.1\r\n${END}\r\n`);
  const closed = clients.filter(({ ended }) => ended).length;
  for (const client of clients) client.destroy();
  return `${closed} closed`;
}

/** A head whose second half comes after that time. */
async function lateHead(target: Target, ms: number): Promise<string> {
  const client = await target.secure();
  client.send('GET /hostile/hello?x HTTP/1.1\r\n');
  await until(() => client.ended, ms);
  return client.ended ? await outcomeOf(client) : await outcomeOf(client, `${END}\r\n`);
}

const LIMITS: readonly Limit[] = [
  {
    name: 'bytes of a head, HTTP/1.1',
    at: CLIENT_LIMITS.headBytesMax,
    act: (target, n) => answer(target, headOf(n)),
    within: /^200 hello x/,
    above: /^431/,
  },
  {
    name: 'bytes of a head, HTTP/2',
    at: CLIENT_LIMITS.headBytesMax,
    act: http2Head,
    within: /^200/,
    above: /^431/,
  },
  {
    name: 'fields of a head',
    at: 1000,
    act: (target, n) => answer(target, `GET /hostile/fields HTTP/1.1\r\n${END}${'a:\r\n'.repeat(n - 2)}\r\n`),
    within: /^200 fields/,
    above: /^431/,
  },
  {
    name: 'bytes of a body with a length',
    at: CLIENT_LIMITS.bodyBytesMax,
    act: (target, n) => answer(target, post(`Content-Length: ${n}`, 'b'.repeat(n))),
    within: /^200 read 104857[56]/,
    above: /^413/,
  },
  {
    name: 'bytes of a body in chunks',
    at: CLIENT_LIMITS.bodyBytesMax,
    act: (target, n) =>
      answer(
        target,
        post('Transfer-Encoding: chunked', `${n.toString(16)}\r\n${'b'.repeat(n)}\r\n0\r\n\r\n`),
      ),
    within: /^200 read 104857[56]/,
    above: /^413/,
  },
  {
    name: 'bytes of chunk extensions',
    at: 16 * 1024,
    act: (target, n) =>
      answer(target, post('Transfer-Encoding: chunked', `1;${'e'.repeat(n)}\r\nb\r\n0\r\n\r\n`)),
    within: /^200 read 1/,
    above: /^413/,
  },
  {
    name: 'digits of a chunk size',
    at: 13,
    act: (target, n) =>
      answer(target, post('Transfer-Encoding: chunked', `${'1'.padStart(n, '0')}\r\nb\r\n0\r\n\r\n`)),
    within: /^200 read 1/,
    above: /^400/,
  },
  {
    name: 'empty lines before a request',
    at: 8,
    act: (target, n) => answer(target, `${'\r\n'.repeat(n)}GET /hostile/hello?x HTTP/1.1\r\n${END}\r\n`),
    within: /^200 hello x/,
    above: /^400/,
  },
  {
    name: 'streams of a connection',
    at: CLIENT_LIMITS.streamsMax,
    act: http2Streams,
    within: /^0 refused/,
    above: /^1 refused/,
  },
  {
    name: 'streams broken off at once',
    at: 4 * CLIENT_LIMITS.resetsPerSecond,
    step: 3 * CLIENT_LIMITS.resetsPerSecond,
    act: (target, n) =>
      http2Frames(target, n, (wire, i) => {
        wire.request(2 * i + 1, '/hostile/hold');
        wire.reset(2 * i + 1, 8);
      }),
    within: /^goes on/,
    above: /^GOAWAY 11/,
  },
  {
    name: 'frames that steer a connection, at once',
    at: 4 * CLIENT_LIMITS.controlFramesPerSecond,
    step: 3 * CLIENT_LIMITS.controlFramesPerSecond,
    act: (target, n) => http2Frames(target, n, (wire) => wire.send(FRAME.ping, 0, 0, Buffer.alloc(8))),
    within: /^goes on/,
    above: /^GOAWAY 11/,
  },
  {
    name: 'connections of one address',
    at: CLIENT_LIMITS.connectionsPerAddressMax,
    act: crowd,
    within: /^0 closed/,
    above: /^1 closed/,
  },
  {
    name: 'milliseconds of a head',
    at: CLIENT_LIMITS.headTimeoutMs,
    step: CLIENT_LIMITS.headTimeoutMs / 2,
    act: lateHead,
    within: /^200 hello x/,
    above: /^408/,
  },
];

const BRIEF: ReadonlySet<string> = new Set(['fields of a head', 'connections of one address']);

function entries({ name, at, act, within, above, step = 1 }: Limit): HostileClient[] {
  // where one is too near, the limit itself is neither below nor above
  const steps = step === 1 ? [at - 1, at, at + 1] : [at - step, at + step];
  return steps.map((n) => ({
    name: `${name}: ${n}, where ${at} are allowed`,
    brief: n > at && BRIEF.has(name),
    act: (target: Target) => act(target, n),
    gets: n > at ? above : within,
  }));
}

export const CLIENT_LIMIT_ENTRIES: readonly HostileClient[] = LIMITS.flatMap(entries);
