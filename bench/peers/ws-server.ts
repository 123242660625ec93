/** An echo of WebSockets by ws over Node's own server, as a program without the gateway would have it; its own process. */
import { readFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { WebSocketServer } from 'ws';

const [certificate = '', key = '', port = '0', body = ''] = process.argv.slice(2);

const echo = new WebSocketServer({ noServer: true, perMessageDeflate: false });
const server = createSecureServer({
  cert: readFileSync(certificate),
  key: readFileSync(key),
  allowHTTP1: true,
});
// the bench asks for the hello over HTTP/2 to see when the server is ready
server.on('stream', (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'text/plain' });
  stream.end(body);
});
server.on('upgrade', (request, socket, head) => {
  echo.handleUpgrade(request, socket, head, (socketOfClient) => {
    socketOfClient.on('message', (message, isBinary) => socketOfClient.send(message, { binary: isBinary }));
    // a client that is gone is no fault of the server
    socketOfClient.on('error', () => undefined);
  });
});
server.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
server.listen(Number(port), '127.0.0.1');
