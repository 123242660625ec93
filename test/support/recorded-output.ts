/** The output of an HTTP/2 connection without a client: a socket that keeps the frames written to it. */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { AbuseLimits } from '../../src/http/h2/abuse-limits.ts';
import { FRAME_HEAD_BYTES, FRAME_TYPE } from '../../src/http/h2/frame-types.ts';
import { FrameWriter } from '../../src/http/h2/frame-writer.ts';
import { SessionOutput } from '../../src/http/h2/session-output.ts';

export interface SentFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export class RecordedOutput {
  readonly #written: Buffer[] = [];
  readonly socket: Duplex = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      this.#written.push(Buffer.from(chunk));
      done();
    },
  });
  readonly output: SessionOutput = new SessionOutput(
    this.socket as Socket,
    new FrameWriter(),
    new AbuseLimits({ resetsPerSecond: 1, controlFramesPerSecond: 1 }),
  );

  /** Returns the frames written since the last call. */
  take(): SentFrame[] {
    this.output.flush();
    const bytes = Buffer.concat(this.#written.splice(0));
    const frames: SentFrame[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
      const [type, flags] = [bytes.readUInt8(at + 3), bytes.readUInt8(at + 4)];
      const payload = bytes.subarray(at + FRAME_HEAD_BYTES, end);
      frames.push({ type, flags, stream: bytes.readUInt32BE(at + 5), payload });
      at = end;
    }
    return frames;
  }

  /** Returns the window updates written since the last call, as `stream: bytes`. */
  takeUpdates(): string[] {
    return this.take()
      .filter(({ type }) => type === FRAME_TYPE.windowUpdate)
      .map(({ stream, payload }) => `${stream}: ${payload.readUInt32BE(0)}`);
  }
}
