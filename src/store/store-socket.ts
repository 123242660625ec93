/** Opens sockets to servers of a store, and says in plain words why that fails. */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { messageOf, systemCodeOf } from '../base/errors.ts';
import type { StoreNode } from '../base/store-address.ts';

export interface StoreTls {
  /** PEM of the authorities that the server's certificate may come from; undefined = those that Node knows. */
  readonly ca: string | undefined;
}

/** The system asks in this time whether the other side of an idle connection is still there. */
const READ_BYTES: number = 64 * 1024;
const KEEP_ALIVE_MS = 30_000;

/**
 * `connected` is called when bytes may be written, after the handshake of TLS, and `received` with what comes: the bytes are its own until it
 * returns.
 */
export function openStoreSocket(
  node: StoreNode,
  tls: StoreTls | undefined,
  connected: () => void,
  received: (bytes: Buffer) => void,
): Socket {
  const onread = {
    // one buffer for the connection: a fresh one for each read makes the collector run a quarter of the time (scenario store-incr)
    buffer: Buffer.allocUnsafe(READ_BYTES),
    callback: (size: number, bytes: Uint8Array): boolean => {
      received(Buffer.from(bytes.buffer, bytes.byteOffset, size));
      return true;
    },
  };
  if ('path' in node) return connectTcp({ path: node.path, onread }, connected);
  const { host, port } = node;
  const common = { host, port, onread, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS };
  if (tls === undefined) return connectTcp(common, connected);
  const isName = !/^[\d.]+$/.test(host) && !host.includes(':');
  const names = isName ? { servername: host } : {};
  return connectTls({ ...common, ...names, ca: tls.ca, minVersion: 'TLSv1.2' }, connected);
}

/** What a socket's error means for whoever has configured the store. */
export function explainSocketError(error: unknown, usesTls: boolean): string {
  switch (systemCodeOf(error)) {
    case 'ECONNREFUSED':
      return 'the connection was refused';
    case 'ENOENT':
      return 'there is no such socket';
    case 'ENOTFOUND':
      return 'there is no host of that name';
    case 'ECONNRESET':
    case 'EPIPE':
      return usesTls
        ? 'it has reset the connection'
        : 'it has reset the connection; a server with TLS wants rediss://';
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'EPROTO':
      return 'it does not speak TLS; without TLS it is redis://';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return `its certificate comes from nobody who is trusted (${messageOf(error)}); --store-ca names an authority`;
    default:
      return messageOf(error);
  }
}
