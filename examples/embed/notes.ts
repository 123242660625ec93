/** Serves notes-routes.ts, a JSON API, in two threads. */
import { createServer } from 'lgateway';

const server = createServer(
  { address: process.argv[2] ?? '127.0.0.1:3000', threads: 2 },
  new URL('./notes-routes.js', import.meta.url),
);

await server.start();
