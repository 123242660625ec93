/**
 * A process that holds many TLS connections open: `idle-client.js PORT COUNT`. Each asks once when it is open, and all of them once more for
 * each line of standard input; after each pass a line says how many got 200.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { connect, type TLSSocket } from 'node:tls';

/** More handshakes at a time overflow the queue of the listener. */
const AT_ONCE = 40;

const [port, count] = process.argv.slice(2).map(Number);
const sockets: TLSSocket[] = [];

/** True when the answer on this connection is a 200. */
async function ask(socket: TLSSocket): Promise<boolean> {
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  return answer.toString('latin1').startsWith('HTTP/1.1 200 ');
}

/** Runs over all numbers, a few at a time; returns how many were true. */
async function pass(one: (index: number) => Promise<boolean>): Promise<number> {
  let next = 0;
  let good = 0;
  const run = async (): Promise<void> => {
    while (next < (count ?? 0)) if (await one(next++)) good += 1;
  };
  await Promise.all(Array.from({ length: AT_ONCE }, run));
  return good;
}

async function open(): Promise<boolean> {
  const socket = connect({ port: port ?? 0, host: '127.0.0.1', rejectUnauthorized: false });
  socket.on('error', (error) => process.stderr.write(`${error.message}\n`));
  await once(socket, 'secureConnect');
  sockets.push(socket);
  return await ask(socket);
}

process.stdout.write(`${await pass(open)}\n`);
for await (const _line of createInterface({ input: process.stdin }))
  process.stdout.write(`${await pass(async (index) => await ask(sockets[index] as TLSSocket))}\n`);
process.exit(0);
