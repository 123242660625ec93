/** The platform's limit: node:http2's core stream API and nothing else, run as a process of its own. */
import { createReadStream, createWriteStream, promises as fs, readFileSync } from 'node:fs';
import { createSecureServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';

const [
  certificateFile = '',
  keyFile = '',
  port = '0',
  body = '',
  payloadFile = '',
  storeFile = '',
  smallFolder = '',
] = process.argv.slice(2);

/** Node's default of 64 KiB makes every server slow at uploads; lgateway opens its windows as well. */
const WINDOW_BYTES = 1024 * 1024;
const TEXT = { ':status': 200, 'content-type': 'text/plain' };
const BYTES = { ':status': 200, 'content-type': 'application/octet-stream' };

const server = createSecureServer({
  cert: readFileSync(certificateFile),
  key: readFileSync(keyFile),
  allowHTTP1: true,
  settings: { initialWindowSize: WINDOW_BYTES },
});
server.on('session', (session) => {
  session.setLocalWindowSize(WINDOW_BYTES);
  session.on('error', () => undefined);
});
server.on('stream', (stream, headers) => {
  stream.on('error', () => undefined);
  answer(stream, headers);
});
// on('request') would install the compatibility layer for HTTP/2 streams too
server.removeAllListeners('newListener');
server.on('request', (request, response) => {
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.end(request.url === '/bench/env' ? listing(request.headers) : body);
});

function answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  switch (headers[':path']) {
    case '/bench/env':
      stream.respond(TEXT);
      stream.end(listing(headers));
      break;
    case '/bench/download':
    case '/bench/copy':
    case '/bench/sendfile':
      stream.respond(BYTES);
      createReadStream(payloadFile).pipe(stream);
      break;
    case '/bench/small-files':
      void sendSmall(stream);
      break;
    case '/bench/upload': {
      const file = createWriteStream(storeFile);
      stream.pipe(file).on('finish', () => {
        stream.respond(TEXT);
        stream.end(String(file.bytesWritten));
      });
      break;
    }
    case '/bench/echo':
      stream.respond(BYTES);
      stream.pipe(stream);
      break;
    default:
      stream.respond(TEXT);
      stream.end(body);
  }
}

const SMALL_FILES = 10_000;
let small = 0;

async function sendSmall(stream: ServerHttp2Stream): Promise<void> {
  small = (small + 1) % SMALL_FILES;
  const bytes = await fs.readFile(`${smallFolder}/${small}`);
  stream.respond(BYTES);
  stream.end(bytes);
}

function listing(headers: IncomingHttpHeaders): string {
  const facts = { pid: process.pid, platform: process.platform, version: process.version };
  return Object.entries({ ...facts, ...headers })
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('');
}

server.listen(Number(port), '127.0.0.1', () => {
  console.log(`ready on ${(server.address() as AddressInfo).port}`);
});
