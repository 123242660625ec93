/** Holds response bytes of a stream that wait for a window, for the socket or for the stream's turn. */
import { giveChunk } from '../exchange/chunk-pool.ts';
import type { Chunk } from '../exchange/response-buffer.ts';
import type { SessionOutput } from './session-output.ts';

export class SendQueue {
  readonly #chunks: Chunk[] = [];
  /** Bytes of the first chunk that have been sent. */
  #sentOfFirst = 0;
  /** Bytes that wait. */
  bytes = 0;

  push(chunk: Chunk): void {
    this.#chunks.push(chunk);
    this.bytes += chunk.length;
  }

  /** Sends a frame of at most `room` bytes and returns its size; with `ends` the last bytes of the queue carry END_STREAM. */
  sendFrame(output: SessionOutput, streamId: number, room: number, ends: boolean): number {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return 0;
    const start = this.#sentOfFirst;
    const end = Math.min(chunk.length, start + room);
    const size = end - start;
    const whole = end === chunk.length;
    const last = ends && size === this.bytes;
    if (typeof chunk !== 'string') output.data(streamId, chunk, start, end, last);
    else output.dataText(streamId, start === 0 && whole ? chunk : chunk.slice(start, end), last);
    this.bytes -= size;
    if (!whole) this.#sentOfFirst = end;
    else {
      this.#sentOfFirst = 0;
      this.#chunks.shift();
      if (typeof chunk !== 'string') giveChunk(chunk);
    }
    return size;
  }

  clear(): void {
    for (const chunk of this.#chunks) if (typeof chunk !== 'string') giveChunk(chunk);
    this.#chunks.length = 0;
    this.#sentOfFirst = 0;
    this.bytes = 0;
  }
}
