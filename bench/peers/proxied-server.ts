/**
 * What the proxy scenarios pass requests on to, on bare sockets, so that it takes as little of the machine as it can. It answers a GET
 * with as many bytes as its path ends with, for an hour where that has `/cached/`, and takes whatever body is sent. It sends its port as a message and ends with the bench.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net';

const BLOCK: Buffer = Buffer.alloc(64 * 1024, 'x');
const END = '\r\n\r\n';
const SIZE = /^GET \S*\/(\d+) /;
/** What a cache may keep, up to 64 KiB. */
const CACHED = /^GET \S*\/cached\/\d+ /;
const LENGTH = /\r\ncontent-length: *(\d+)/i;

const answers = new Map<string, string>();

function headFor(bytes: number, isKept = false): string {
  const more = isKept ? `Cache-Control: max-age=3600\r\nDate: ${new Date().toUTCString()}\r\n` : '';
  return `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n${more}Content-Length: ${bytes}\r\n\r\n`;
}

/** Head and body in one piece. */
function shortAnswer(bytes: number, isKept = false): string {
  const key = `${bytes} ${isKept}`;
  let answer = answers.get(key);
  if (answer === undefined) {
    answer = headFor(bytes, isKept) + BLOCK.toString('latin1', 0, bytes);
    answers.set(key, answer);
  }
  return answer;
}

function sendLong(socket: Socket, bytes: number): void {
  let left = bytes;
  socket.write(headFor(bytes));
  const send = (): void => {
    while (left > 0) {
      const size = Math.min(left, BLOCK.length);
      left -= size;
      const hasRoom = socket.write(size === BLOCK.length ? BLOCK : BLOCK.subarray(0, size));
      if (hasRoom || left === 0) continue;
      socket.once('drain', send);
      return;
    }
  };
  send();
}

function serve(socket: Socket): void {
  let head = '';
  /** Bytes of a body that are to come. */
  let left = 0;
  socket.setNoDelay(true);
  // clients go when they like
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes) => {
    if (left > 0) {
      left -= bytes.length;
      if (left <= 0) socket.write(shortAnswer(1));
      return;
    }
    head += bytes.toString('latin1');
    const end = head.indexOf(END);
    if (end === -1) return;
    const size = SIZE.exec(head)?.[1];
    const isKept = CACHED.test(head);
    const body = Number(LENGTH.exec(head)?.[1] ?? 0) - (head.length - end - END.length);
    head = '';
    if (size !== undefined && Number(size) <= BLOCK.length)
      socket.write(shortAnswer(Number(size), isKept), 'latin1');
    else if (size !== undefined) sendLong(socket, Number(size));
    else if (body > 0) left = body;
    else socket.write(shortAnswer(1));
  });
}

const server = createServer(serve);
server.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
process.once('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
