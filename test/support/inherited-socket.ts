/** Makes listening sockets for a program to inherit, as systemd makes them. */
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { duplicateDescriptor } from '../../src/native/posix.ts';

/** A listening socket from which nothing accepts connections yet. */
export interface ListeningSocket {
  readonly descriptor: number;
  readonly port: number;
  /** Closes this process's descriptor of the socket. */
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
