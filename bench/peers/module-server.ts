/** A program that embeds the gateway and serves handler modules, one of them a router; its own process. */
import { Server } from '../../src/index.ts';

const [certificate = '', key = '', port = '0', threads = '1'] = process.argv.slice(2);

await new Server({
  address: `127.0.0.1:${port}`,
  tls: { certificate, key },
  threads: Number(threads),
  logLevel: 'warn',
  mappings: [
    { prefix: '/', module: new URL('./module-handler.js', import.meta.url) },
    { prefix: '/bench/module-route', module: new URL('./module-route.js', import.meta.url) },
  ],
}).start();
