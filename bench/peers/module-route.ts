/** The routed handler of the module scenario: one pattern with a parameter. */
import { Router } from '../../src/index.ts';

const router: Router = new Router().get(
  '/bench/module-route/users/{id}',
  () => new Response('Hello from the bench', { headers: { 'content-type': 'text/plain' } }),
);

// biome-ignore lint/style/noDefaultExport: handler modules have one
export default router;
