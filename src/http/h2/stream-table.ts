/** The streams of a connection: which are open, which numbers were used, and how the last closed ones ended. */
import { ClosedStreams, type Ending } from './closed-streams.ts';
import type { H2Stream } from './h2-stream.ts';

export class StreamTable {
  /** Streams that were not answered within the read in which they came. */
  readonly #listed = new Map<number, H2Stream>();
  readonly #closed = new ClosedStreams();
  #changed = false;
  /** Counts of open streams, and of the pushed ones among them. */
  openCount = 0;
  pushedCount = 0;
  /** The highest stream number that the client has used, and the highest that was served. */
  lastId = 0;
  lastServedId = 0;
  /** The highest stream number of a push. */
  lastPushedId = 0;

  /** Open streams that the client has opened. */
  get requestedCount(): number {
    return this.openCount - this.pushedCount;
  }

  get(streamId: number): H2Stream | undefined {
    return this.#listed.get(streamId);
  }

  all(): Iterable<H2Stream> {
    return this.#listed.values();
  }

  /** Counts a stream that opens. Most streams close before a frame has to find them by their number. */
  opened(stream: H2Stream): void {
    this.openCount += 1;
    if (stream.pushed) this.pushedCount += 1;
    else this.lastServedId = stream.id;
    this.#changed = true;
  }

  /** Lets `get` find the stream from now on. */
  list(stream: H2Stream): void {
    stream.listed = true;
    this.#listed.set(stream.id, stream);
  }

  closed(stream: H2Stream, ending: Ending): void {
    if (stream.listed) this.#listed.delete(stream.id);
    this.openCount -= 1;
    if (stream.pushed) this.pushedCount -= 1;
    else this.#closed.add(stream.id, ending);
    this.#changed = true;
  }

  /** Notes how a stream of the client ended that was not opened, or is no longer open. */
  remember(streamId: number, ending: Ending): void {
    this.#closed.add(streamId, ending);
  }

  /** Returns how a stream of the client that is not open has ended. */
  endingOf(streamId: number): Ending {
    return this.#closed.endingOf(streamId, this.lastId);
  }

  /** True when neither side has used the number yet. */
  isIdle(streamId: number): boolean {
    return streamId === 0 || streamId > ((streamId & 1) === 0 ? this.lastPushedId : this.lastId);
  }

  /** True when a stream has opened or closed since the last call. */
  hasChanged(): boolean {
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  /** Removes and returns all streams that `get` finds, as the connection has ended. */
  takeAll(): H2Stream[] {
    const streams = [...this.#listed.values()];
    this.#listed.clear();
    this.openCount = 0;
    this.pushedCount = 0;
    return streams;
  }
}
