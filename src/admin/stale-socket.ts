/** Clears away the file of a unix socket that nobody listens on any more. */
import { lstatSync, rmSync } from 'node:fs';
import { connect } from 'node:net';

/** A socket of this machine answers at once, or its queue is full and somebody lives. */
const ANSWER_MAX_MS = 1000;

/** Removes the file where it is a socket whose listener has gone, killed before it could; leaves whatever else is there. */
export async function removeStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isSocket() === true && !(await isListenedOn(path))) rmSync(path, { force: true });
}

function isListenedOn(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path, timeout: ANSWER_MAX_MS });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(true));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code !== 'ECONNREFUSED'));
  });
}
