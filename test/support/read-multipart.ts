/** Gives a multipart body in chosen pieces to the reader of forms, and gathers what it makes of them. */
import { FormBody } from '../../src/forms/form-body.ts';
import { MULTIPART_LIMITS, type MultipartLimits } from '../../src/forms/form-limits.ts';
import { MultipartReader, type Part } from '../../src/forms/multipart-reader.ts';
import { FakeBody } from './fake-exchange.ts';

export interface ReadPart {
  readonly name: string;
  readonly filename: string | undefined;
  readonly type: string;
  /** A byte string. */
  readonly content: string;
}

export interface ReadForm {
  readonly parts: readonly ReadPart[];
  /** Why it ended early: a code for Lua and the message. */
  readonly failure: string | undefined;
}

interface ReadOptions {
  readonly limits?: Partial<MultipartLimits>;
  /** Bytes at which the body is cut in pieces; without it, it comes in one piece. */
  readonly cuts?: readonly number[];
  /** Contents are passed over. */
  readonly skips?: boolean;
}

/** Resolves with the form in `bytes`, a byte string, that ends where they end. */
export async function readMultipart(
  bytes: string,
  boundary: string,
  options: ReadOptions = {},
): Promise<ReadForm> {
  const body = new FakeBody();
  const reader = new MultipartReader(new FormBody(body), boundary, {
    ...MULTIPART_LIMITS,
    ...options.limits,
  });
  const cuts = [...(options.cuts ?? []), bytes.length];
  let from = 0;
  /** Gives the next piece to whoever waits. */
  const supply = (): void => {
    const to = cuts.shift();
    if (to === undefined) body.finish();
    else {
      body.supply(Buffer.from(bytes.slice(from, to), 'latin1'));
      from = to;
    }
  };
  const waitFor = (request: (ready: () => void) => void): Promise<void> =>
    new Promise((resolve) => {
      let isReady = false;
      request(() => {
        isReady = true;
        resolve();
      });
      const next = (): void => {
        if (isReady) return;
        supply();
        setImmediate(next);
      };
      setImmediate(next);
    });
  const parts: ReadPart[] = [];
  for (;;) {
    const result = reader.advance();
    if (result === 'more') await waitFor((ready) => reader.whenMore(ready));
    else if (result === 'end') return { parts, failure: undefined };
    else if (result instanceof Error) return { parts, failure: `${result.luaCode} ${result.message}` };
    else {
      const content = options.skips === true ? '' : await readContent(result, waitFor);
      if (content instanceof Error) return { parts, failure: `${content.luaCode} ${content.message}` };
      const { name, filename, type } = result;
      parts.push({ name, filename, type, content });
    }
  }
}

async function readContent(
  { body }: Part,
  waitFor: (request: (ready: () => void) => void) => Promise<void>,
): Promise<string | NonNullable<Part['body']['error']>> {
  const pieces: string[] = [];
  for (;;) {
    while (body.queue.length > 0) {
      pieces.push(Buffer.from(body.queue.takeChunk()).toString('latin1'));
      body.consumed();
    }
    if (body.error !== undefined) return body.error;
    if (body.ended) return pieces.join('');
    await waitFor((ready) => body.request(1, ready));
  }
}
