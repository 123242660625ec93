/** The gateway inside a program, serving a handler module; run as a process of its own. */
import { Server } from '../../src/index.ts';

const [certificate = '', key = '', port = '0', threads = '1'] = process.argv.slice(2);

await new Server({
  address: `127.0.0.1:${port}`,
  tls: { certificate, key },
  threads: Number(threads),
  logLevel: 'warn',
}).start(new URL('./module-handler.js', import.meta.url));
