/** The body of a request, or of a part of a form, as web code reads it: a stream that keeps its pace, or all of it at once. */
import type { ByteSource } from '../base/byte-stream.ts';
import { GatewayError } from '../base/errors.ts';

/** Bytes a stream hands on in one piece: one HTTP/2 window's quarter; larger pieces are cut, so that memory stays flat. */
const PIECE_BYTES_MAX = 64 * 1024;

/** Bytes of a body that text(), json() and their like gather: a handler has no memory limit of its own, and others share its process. */
export const WHOLE_BODY_BYTES_MAX: number = 64 * 1024 * 1024;

/** Reads on as the consumer asks for more; `onProgress` is called for each piece. */
export function bodyStream(body: ByteSource, onProgress: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      pull(controller): Promise<void> | undefined {
        if (body.queue.length > 0) {
          give(controller);
          return undefined;
        }
        return new Promise((resolve) => {
          const ready = (): void => {
            if (body.queue.length > 0) give(controller);
            else if (body.error !== undefined) controller.error(body.error);
            else controller.close();
            resolve();
          };
          if (body.ended) ready();
          else body.request(1, ready);
        });
      },
      cancel(): void {
        body.cancelRequest();
      },
    },
    // nothing is read ahead of the consumer: the body has its own read-ahead
    { highWaterMark: 0 },
  );

  function give(controller: ReadableStreamDefaultController<Uint8Array>): void {
    // a copy, because the consumer may keep or transfer it
    controller.enqueue(new Uint8Array(body.queue.takeChunk(PIECE_BYTES_MAX)));
    body.consumed();
    onProgress();
  }
}

/** How much of a body may be gathered, and the error for more. */
export interface GatherLimit {
  readonly bytesMax: number;
  tooLarge(): GatewayError;
}

const WHOLE_BODY: GatherLimit = { bytesMax: WHOLE_BODY_BYTES_MAX, tooLarge: tooLargeError };

/** Takes the whole body; rejects when the client does not send all of it, and as soon as it is larger than may be gathered. */
export function readWholeBody(
  body: ByteSource,
  onProgress: () => void,
  { bytesMax, tooLarge }: GatherLimit = WHOLE_BODY,
): Promise<Uint8Array<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    const pieces: Uint8Array[] = [];
    let size = 0;
    const step = (): void => {
      while (body.queue.length > 0) {
        const piece = body.queue.takeChunk();
        size += piece.length;
        if (size > bytesMax) {
          reject(tooLarge());
          return;
        }
        pieces.push(piece);
        body.consumed();
      }
      onProgress();
      if (!body.ended) body.request(1, step);
      else if (body.error !== undefined) reject(body.error);
      else resolve(join(pieces, size));
    };
    step();
  });
}

/** The same for a body that has become a stream. */
export async function readWholeStream(
  stream: ReadableStream<Uint8Array>,
  { bytesMax, tooLarge }: GatherLimit = WHOLE_BODY,
): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of stream) {
    size += piece.length;
    // leaving the loop cancels the stream
    if (size > bytesMax) throw tooLarge();
    pieces.push(piece);
  }
  return join(pieces, size);
}

function tooLargeError(): GatewayError {
  return new GatewayError(
    'LGW_BODY_TOO_LARGE',
    `Request body is larger than the limit of ${WHOLE_BODY_BYTES_MAX} bytes of what is gathered; request.body gives it in pieces`,
    { status: 413, luaCode: 'limit' },
  );
}

/** The error of a body that is asked for twice, as the standard words it. */
export function bodyUsedError(): TypeError {
  return new TypeError('Body is unusable: Body has already been read');
}

/** The reason of `request.signal` when the handler was given up for its own slowness. */
export function timeLimitError(limitMs: number): GatewayError {
  return new GatewayError('LGW_TIME_LIMIT', `The handler has written nothing for ${limitMs} ms`, {
    status: 504,
    luaCode: 'timeout',
  });
}

function join(pieces: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
