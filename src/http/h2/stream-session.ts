/** What a stream needs of its session: an interface, so that the files of stream and session make no circle. */
import type { Exchange, PushPromise } from '../exchange/exchange.ts';
import type { ResponseHead } from '../exchange/exchange-wire.ts';
import type { StallWatch } from '../exchange/stall-watch.ts';
import type { Fields } from '../semantics/fields.ts';
import type { H2ErrorCode } from './error-codes.ts';
import type { SessionBodies } from './session-bodies.ts';
import type { SessionOutput } from './session-output.ts';
import type { PeerSettings } from './settings.ts';

export interface StreamSession<Stream> {
  readonly output: SessionOutput;
  readonly bodies: SessionBodies;
  readonly peer: PeerSettings;
  /** Streams whose response waits for the client. */
  readonly stalls: StallWatch;
  /** Streams whose response is complete and whose client has not ended its side. */
  readonly lateBodies: StallWatch;
  /** Response bytes that the exchange of one stream may hold. */
  readonly bufferBytesMax: number;
  readonly canPush: boolean;
  sendInformational(streamId: number, status: number, fields: Fields): void;
  sendHead(streamId: number, head: ResponseHead, endStream: boolean): void;
  sendTrailers(streamId: number, fields: Fields): void;
  push(parentId: number, promise: PushPromise): Exchange | undefined;
  /** Both sides of the stream have ended. */
  streamClosed(stream: Stream): void;
  /** Resets a stream that is open. */
  resetStream(stream: Stream, code: H2ErrorCode): void;
}
