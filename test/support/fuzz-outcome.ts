/** What a client observes of a sequence of frames: the responses of its streams, resets, and the end of the connection. */
import { connect } from 'node:net';
import type { SentStep } from './frame-sequence.ts';
import { pingFrame } from './h2-bytes.ts';
import { StrictPeer } from './strict-peer.ts';
import { FLAG, FRAME } from './wire-client.ts';

export interface Outcome {
  /** The error code of GOAWAY; undefined: there was none. */
  readonly goaway: number | undefined;
  readonly closed: boolean;
  /** For each stream: `200 body end`, `200 part`, `reset 5`, … */
  readonly streams: ReadonlyMap<number, string>;
  /** For each stream that the server has reset: the error codes. */
  readonly resets: ReadonlyMap<number, readonly number[]>;
  /** Rules for servers that the server broke. */
  readonly violations: readonly string[];
  /** The server neither answered a PING nor ended the connection. */
  readonly stuck: boolean;
}

/** Nothing that is tested: a server that takes longer stands still, on the slowest machine too. */
const WAIT_MAX_MS = 60_000;

/** Sends the steps over a new connection and waits until the server has sent everything it has to send. */
export async function observe(port: number, steps: readonly SentStep[], patient = false): Promise<Outcome> {
  const peer = await connectPeer(port);
  try {
    peer.start();
    peer.send(...steps.map(({ bytes }) => bytes), settlingPing(0));
    const stuck = await settle(peer, patient);
    return describe(peer, stuck);
  } finally {
    peer.destroy();
  }
}

/**
 * Sends octets that need not be frames, in two parts when `cut`, and then ends the client's side. The server has to end the
 * connection as well.
 */
export async function sendOctets(port: number, octets: Buffer, cut: boolean): Promise<'ended' | 'open'> {
  const peer = await connectPeer(port);
  try {
    peer.start();
    const middle = cut ? octets.length >> 1 : octets.length;
    peer.raw(octets.subarray(0, middle));
    if (cut) await new Promise(setImmediate);
    peer.raw(octets.subarray(middle));
    peer.socket.end();
    await peer.expectConnectionClosed();
    return 'ended';
  } catch {
    return 'open';
  } finally {
    peer.destroy();
  }
}

export function isOver({ goaway, closed }: Outcome): boolean {
  return goaway !== undefined || closed;
}

export function describeOutcome(outcome: Outcome): string {
  const end = outcome.stuck
    ? 'stuck'
    : outcome.goaway !== undefined
      ? `goaway ${outcome.goaway}`
      : outcome.closed
        ? 'closed'
        : 'alive';
  return `${end} ${[...outcome.streams].map(([stream, what]) => `${stream}: ${what}`).join(', ')}`;
}

/** Makes the PING of a round; the first one is sent with the steps. */
function settlingPing(round: number): Buffer {
  return pingFrame(`fuzz-${round}..`);
}

function connectPeer(port: number): Promise<StrictPeer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(new StrictPeer(socket)));
    socket.once('error', reject);
  });
}

/** Resolves with true when an expected answer does not arrive. */
async function settle(peer: StrictPeer, patient: boolean): Promise<boolean> {
  const over = (): boolean => peer.closed || peer.frames.some(({ type }) => type === FRAME.goaway);
  const limit = performance.now() + WAIT_MAX_MS;
  for (let round = 0; round < (patient ? 6 : 2); round++) {
    if (round > 0) peer.send(settlingPing(round));
    const answered = (): boolean =>
      peer.frames.some(
        ({ type, flags, payload: own }) =>
          type === FRAME.ping &&
          (flags & FLAG.ack) !== 0 &&
          own.toString('latin1').startsWith(`fuzz-${round}`),
      );
    await peer.until(() => over() || answered(), 'an answer to PING').catch(() => undefined);
    if (over()) return false;
    if (!answered() || performance.now() > limit) return true;
    if (patient) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

function describe(peer: StrictPeer, stuck: boolean): Outcome {
  const streams = new Map<number, string>();
  const resets = new Map<number, readonly number[]>();
  let goaway: number | undefined;
  for (const { type, flags, stream, payload, fields } of peer.frames) {
    if (type === FRAME.goaway) goaway ??= payload.readUInt32BE(4);
    if (stream === 0) continue;
    const before = streams.get(stream) ?? '';
    const ends = (flags & FLAG.endStream) !== 0 && type <= FRAME.headers ? ' end' : '';
    if (type === FRAME.headers)
      streams.set(stream, `${before}${new Map(fields).get(':status') ?? 'trailers'} ${ends}`);
    else if (type === FRAME.data) streams.set(stream, before + payload.toString('latin1') + ends);
    else if (type === FRAME.rstStream) {
      const code = payload.readUInt32BE(0);
      resets.set(stream, [...(resets.get(stream) ?? []), code]);
      streams.set(stream, `${before} reset ${code}`);
    }
  }
  return { goaway, closed: peer.closed, streams, resets, violations: peer.checker.violations, stuck };
}
