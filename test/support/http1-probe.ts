/** Sends bytes to a witness in pieces that arrive one by one, and reports what happened on the connection. */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describeRequest, type Http1Witness, type SeenRequest } from './http1-witness.ts';

/** Longest wait for the end of a connection, sufficient on a busy machine. */
const END_WAIT_MS = 120_000;

export interface ProbeOutcome {
  /** For each answer in order: its status, or the request that a 204 answers. */
  readonly answers: readonly string[];
  /** The requests that were served, in order. */
  readonly requests: readonly SeenRequest[];
  /** Status of the answer that belongs to no served request; 0: there is none. */
  readonly refusal: number;
  /** Targets of all requests that reached a handler. */
  readonly begun: readonly string[];
}

/** Sends the pieces, then ends the client's side if `ends`, and waits until the server ends the connection. */
export async function probe(
  witness: Http1Witness,
  pieces: readonly string[],
  ends: boolean,
): Promise<ProbeOutcome> {
  const socket = await open(witness);
  // libuv accepts one connection in each round of the event loop; before that, pieces would accumulate and be read as one
  const opened = (connectionsOpened.get(witness) ?? 0) + 1;
  connectionsOpened.set(witness, opened);
  while (witness.front.counters.get('connectionsTotal') < opened && !socket.destroyed) await taken();
  const clientPort = socket.localPort ?? 0;
  let received = '';
  let late = false;
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    received += text;
  });
  const ended = new Promise<void>((resolve) => {
    socket.on('end', resolve);
    socket.on('close', () => resolve());
    socket.setTimeout(END_WAIT_MS, () => {
      late = true;
      resolve();
    });
  });
  for (const [i, piece] of pieces.entries()) {
    if (socket.destroyed || socket.readableEnded) break;
    if (ends && i === pieces.length - 1) socket.end(piece, 'latin1');
    else socket.write(piece, 'latin1');
    await taken();
  }
  await ended;
  socket.destroy();
  const { whole, begun } = witness.take(clientPort);
  return { ...readAnswers(received, whole, late), requests: whole, begun };
}

function readAnswers(
  received: string,
  whole: readonly SeenRequest[],
  late: boolean,
): Pick<ProbeOutcome, 'answers' | 'refusal'> {
  let served = 0;
  let refusal = 0;
  const answers: string[] = [];
  for (const [, status = ''] of received.matchAll(STATUS)) {
    const request = status === '204' ? whole[served++] : undefined;
    answers.push(request === undefined ? status : describeRequest(request));
    if (status > '299') refusal = Number(status);
  }
  if (late) answers.push('no end');
  return { answers, refusal };
}

/** Waits until the server has read what was written: it reads in each round of the event loop. */
async function taken(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  await new Promise<void>((resolve) => setImmediate(resolve));
}

function open({ front, isSecure }: Http1Witness): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const target = { port: front.port, host: '127.0.0.1', noDelay: true };
    const socket = isSecure
      ? connectTls({ ...target, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
      : connectTcp(target);
    socket.once('error', reject);
    socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      socket.off('error', reject);
      // 'close' follows an error, and the code waits for it
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

/** Connections opened to each witness: so many have to be accepted before the latest one is. */
const connectionsOpened = new WeakMap<Http1Witness, number>();
const STATUS = /HTTP\/1\.1 (\d{3}) /g;
