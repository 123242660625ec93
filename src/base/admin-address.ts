/** Where the admin listener is: a loopback address, or a unix socket. */
import { BlockList, isIP } from 'node:net';

export type AdminAddress =
  /** An address of the loopback interface, and a port; 0 = any free one. */
  | { readonly kind: 'tcp'; readonly address: string; readonly port: number }
  /** An absolute path. */
  | { readonly kind: 'unix'; readonly path: string };

/** Bytes of the path of a unix socket: what Linux has room for, without the zero at the end. */
export const SOCKET_PATH_BYTES_MAX = 107;

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Also of an IPv4 address in the form that IPv6 sockets show it in. */
export function isLoopback(address: string): boolean {
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  const family = isIP(plain);
  return family !== 0 && LOOPBACK.check(plain, family === 4 ? 'ipv4' : 'ipv6');
}

/** `http://127.0.0.1:9443`, `unix:/run/lgateway/admin.sock`. */
export function showAdminAddress(address: AdminAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return `http://${authorityOf(address.address, address.port)}`;
}

/** `127.0.0.1:9443`, `[::1]:9443`. */
export function authorityOf(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
