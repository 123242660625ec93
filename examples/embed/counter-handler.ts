/** Runs in every thread: the number comes from memory that all of them share, so that no two answers are the same. */
import type { HandlerContext } from 'lgateway';

export default function count(_request: Request, context: HandlerContext): Response {
  const next = context.shared('counter').incr('requests', 1, { init: -1 });
  return new Response(`${next}\n`);
}
