/** Listening sockets that a program is started with, as systemd would. */
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { duplicateDescriptor } from '../../src/native/posix.ts';

/** A socket that listens and that nobody accepts from yet. */
export interface ListeningSocket {
  readonly descriptor: number;
  readonly port: number;
  /** Gives up this process's hold on it. */
  close(): void;
}

export async function listeningSocket(host = '127.0.0.1'): Promise<ListeningSocket> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { _handle: handle } = server as unknown as { _handle: { fd: number } };
  const descriptor = duplicateDescriptor(handle.fd);
  server.close();
  await once(server, 'close');
  return { descriptor, port, close: () => closeSync(descriptor) };
}
