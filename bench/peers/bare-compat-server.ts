/**
 * A server on the compatibility API of node:http2, as a TypeScript program without the gateway would have it; its own process.
 */
import { readFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';

const [certificate = '', key = '', port = '0', body = ''] = process.argv.slice(2);

const server = createSecureServer(
  { cert: readFileSync(certificate), key: readFileSync(key), allowHTTP1: true },
  (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.end(body);
  },
);
server.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
server.listen(Number(port), '127.0.0.1');
