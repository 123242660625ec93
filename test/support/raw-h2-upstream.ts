/** A server of HTTP/2 without TLS that answers each request with given bytes, whatever frames they are. */
import type { Socket } from 'node:net';
import { frame, PREFACE, settingsFrame } from './h2-bytes.ts';
import { rawUpstream, type Upstream } from './upstream.ts';
import { FLAG, FRAME } from './wire-client.ts';

/** What the gateway has sent on one connection. */
export interface SentFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export interface RawH2Upstream extends Upstream {
  /** All frames that have come, of all connections. */
  readonly frames: readonly SentFrame[];
  /** `h2c://127.0.0.1:port`. */
  readonly target: string;
}

/** Called for each request; `stream`: its number. */
export type RawH2Answer = (socket: Socket, stream: number, sent: SentFrame) => void;

const HEADER_BYTES = 9;

/** `settings`: the frame that each connection begins with. */
export async function rawH2Upstream(
  answer: RawH2Answer,
  settings: () => Buffer = () => settingsFrame(),
): Promise<RawH2Upstream> {
  const frames: SentFrame[] = [];
  const upstream = await rawUpstream((socket) => {
    let held: Buffer = Buffer.alloc(0);
    let skipped = false;
    socket.write(settings());
    socket.on('data', (bytes) => {
      held = Buffer.concat([held, bytes]);
      if (!skipped) {
        if (held.length < PREFACE.length) return;
        held = held.subarray(PREFACE.length);
        skipped = true;
      }
      while (held.length >= HEADER_BYTES) {
        const size = HEADER_BYTES + held.readUIntBE(0, 3);
        if (held.length < size) return;
        const sent: SentFrame = {
          type: held.readUInt8(3),
          flags: held.readUInt8(4),
          stream: held.readUInt32BE(5) & 0x7fffffff,
          payload: Buffer.from(held.subarray(HEADER_BYTES, size)),
        };
        held = held.subarray(size);
        frames.push(sent);
        if (sent.type === FRAME.settings && (sent.flags & FLAG.ack) === 0)
          socket.write(frame(FRAME.settings, FLAG.ack, 0));
        else if (sent.type === FRAME.headers) answer(socket, sent.stream, sent);
      }
    });
  });
  return { ...upstream, frames, target: `h2c://127.0.0.1:${upstream.port}` };
}
