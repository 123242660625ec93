/** A handler module for tests: which worker answers, and what it makes of awkward requests. */
import { existsSync } from 'node:fs';
import { Router } from '../../../src/index.ts';

/** While this file is there, a thread that loads the module does not begin to serve. */
const hold = process.env['LGATEWAY_TEST_HOLD'];
while (hold !== undefined && existsSync(hold)) await new Promise((resolve) => setTimeout(resolve, 5));

const SLOW_MS = 500;
const SPIN_MS_MAX = 60_000;
let count = 0;

const router: Router = new Router()
  .get('/worker', (_request, _params, { workerId }) => new Response(String(workerId)))
  .get('/publish', (request, _params, context) =>
    Response.json(context.publish(new URL(request.url).search.slice(1), 'from a thread')),
  )
  .any('/method', (request) => new Response(request.method))
  .get('/count', () => {
    count += 1;
    return new Response(String(count));
  })
  .get('/classes', (request) => {
    class Own extends Response {}
    const facts = [
      request instanceof Request,
      new Response('x') instanceof Response,
      Response.json({}) instanceof Response,
      Response.error() instanceof Response,
      new Own('x') instanceof Own,
      new Own('x') instanceof Response,
      !(new Response('x') instanceof Own),
    ];
    return new Own(facts.join(' '));
  })
  .get('/refused', () => {
    const refusals = [
      () => new Response('x', { status: 204 }),
      () => new Response('x', { status: 99 }),
      () => new Response('x', { headers: { 'a b': 'c' } }),
      () => new Response('x', { headers: { a: 'b\r\nc' } }),
      () => new Response('x', { statusText: 'a\r\nb' }),
    ];
    const names = refusals.map((refusal) => {
      try {
        refusal();
        return 'taken';
      } catch (error) {
        return error instanceof Error ? error.name : 'odd';
      }
    });
    return new Response(names.join(' '));
  })
  .get('/spin', (request) => {
    // computes until a file comes, as the thread can hear of nothing else meanwhile
    const end = decodeURIComponent(new URL(request.url).search.slice(1));
    const limit = performance.now() + SPIN_MS_MAX;
    while (!existsSync(end) && performance.now() < limit);
    return new Response(existsSync(end) ? 'spun' : 'spun in vain');
  })
  .get('/slow', async (request) => {
    // or until a file comes
    const end = decodeURIComponent(new URL(request.url).search.slice(1));
    const pause = (ms: number): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, ms));
    if (end === '') await pause(SLOW_MS);
    else while (!existsSync(end)) await pause(5);
    return new Response('slow');
  })
  .get('/exit', () => process.exit(7))
  .get('/crash', () => {
    setImmediate(() => {
      throw new Error('crashed on purpose');
    });
    return new Response('going down');
  });

// biome-ignore lint/style/noDefaultExport: handler modules have one
export default router;
