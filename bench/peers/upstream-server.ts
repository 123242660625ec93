/**
 * The upstream of the fetch scenarios: a node:http server with one answer. It sends its port as a message and ends with the
 * bench.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const [body = ''] = process.argv.slice(2);

/** Long enough that no idle connection ends between two rounds. */
const KEEP_ALIVE_MS = 120_000;

const head = { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(body) };
const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (_request, response) => {
  response.writeHead(200, head);
  response.end(body);
});
server.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
process.once('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
