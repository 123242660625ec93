/** Stops and starts the reads of a socket itself: `pause` alone lets it read on until its own buffer is full. */
import type { Socket } from 'node:net';

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

/** The same for a socket whose reads node:http2 takes, past its stream. */
export function stopHandle(socket: Socket): void {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (!isHandle(handle) || handle.reading === false) return;
  handle.reading = false;
  handle.readStop();
}

export function startHandle(socket: Socket): void {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (!isHandle(handle) || handle.reading !== false) return;
  handle.reading = true;
  handle.readStart();
}

interface Handle {
  reading?: boolean;
  readStart(): number;
  readStop(): number;
}

function isHandle(value: unknown): value is Handle {
  return (
    typeof value === 'object' &&
    value !== null &&
    'readStart' in value &&
    typeof value.readStart === 'function' &&
    'readStop' in value &&
    typeof value.readStop === 'function'
  );
}
