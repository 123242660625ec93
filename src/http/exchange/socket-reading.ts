/** Stops and starts the reads of a socket itself: `pause` alone lets it read on until its own buffer is full. */
import type { Socket } from 'node:net';
import { startHandle, stopHandle } from '../../native/node-internals.ts';

/** Nothing more is read. Bytes of a read that has happened may still come. */
export function stopReading(socket: Socket): void {
  socket.pause();
  stopHandle(socket);
}

/** Reads on. */
export function startReading(socket: Socket): void {
  socket.resume();
  startHandle(socket);
}
