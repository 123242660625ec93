/** mini-async-http's counter: one number over all threads and connections; SIGTERM lets what runs finish. */
import { createServer } from 'lgateway';

const address = process.argv[2] ?? '127.0.0.1:7878';
const server = createServer({ address, threads: 3 }, new URL('./counter-handler.js', import.meta.url));
const handle = server.handle();
process.once('SIGTERM', () => void handle.shutdown());

await server.start();
console.log('** Every request was answered **');
