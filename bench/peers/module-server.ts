/** A program that embeds the gateway and serves a handler module; its own process. */
import { Server } from '../../src/index.ts';

const [certificate = '', key = '', port = '0', threads = '1'] = process.argv.slice(2);

await new Server({
  address: `127.0.0.1:${port}`,
  tls: { certificate, key },
  threads: Number(threads),
  logLevel: 'warn',
}).start(new URL('./module-handler.js', import.meta.url));
