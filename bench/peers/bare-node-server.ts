/** The limit of the platform: a server on the core stream API of node:http2, and on node:http for HTTP/1; its own process. */
import { createReadStream, createWriteStream, promises as fs, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';

const [
  certificateFile = '',
  keyFile = '',
  port = '0',
  plainPort = '0',
  body = '',
  payloadFile = '',
  storeFile = '',
  smallFolder = '',
] = process.argv.slice(2);

/** Node's default of 64 KiB slows down uploads on every server. lgateway enlarges its windows in the same way. */
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
// a listener of 'request' would make Node install the compatibility layer for HTTP/2 streams as well
server.removeAllListeners('newListener');
server.on('request', (request, response) => {
  // this listener answers only HTTP/1 requests; the listener above answers HTTP/2 streams
  if (request.httpVersionMajor === 1)
    answerHttp1(request as unknown as IncomingMessage, response as unknown as ServerResponse);
});
/** Long enough that no idle connection ends between two rounds. node:http2 passes this value on to node:http. */
const KEEP_ALIVE_MS = 120_000;
Object.assign(server, { keepAliveTimeout: KEEP_ALIVE_MS });

function answerHttp1(request: IncomingMessage, response: ServerResponse): void {
  switch (request.url) {
    case '/bench/download':
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      createReadStream(payloadFile).pipe(response);
      break;
    case '/bench/upload': {
      const file = createWriteStream(storeFile);
      request.pipe(file).on('finish', () => {
        response.writeHead(200, { 'content-type': 'text/plain' });
        response.end(String(file.bytesWritten));
      });
      break;
    }
    case '/bench/env':
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.end(listing(request.headers));
      break;
    default:
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.end(body);
  }
}

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

const plainServer = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, answerHttp1);

plainServer.listen(Number(plainPort), '127.0.0.1');
server.listen(Number(port), '127.0.0.1');
