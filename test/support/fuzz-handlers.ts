/** The handlers of the fuzz tests; each one answers within the call that completes the request. */
import { type HandlerFunction, readBody } from './test-front-end.ts';

const text = (value: string): Uint8Array => Buffer.from(value, 'latin1');

export const FUZZ_HANDLERS: Readonly<Record<string, HandlerFunction>> = {
  '/hello': (x) => {
    x.head(200, []);
    x.write(text('hello'));
    x.end();
  },
  '/echo': (x) =>
    readBody(x, (body) => {
      if (body === undefined) return;
      x.head(200, []);
      x.write(body);
      x.end();
    }),
  '/unread': (x) => {
    x.head(200, []);
    x.write(text('unread'));
    x.end();
  },
  '/none': (x) => {
    x.head(200, []);
    x.end();
  },
  '/wait': () => undefined,
  '/part': (x) => {
    x.head(200, []);
    x.write(text('part'));
    x.flush();
  },
  '/missing': (x) => {
    x.head(404, []);
    x.end();
  },
};
