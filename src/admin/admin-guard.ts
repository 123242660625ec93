/** Who may ask the admin listener for what: requests from other machines, other names and other sites are refused. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type AdminAddress, authorityOf, isLoopback } from '../base/admin-address.ts';

const DEFAULT_PORT = 80;
const BEARER = /^Bearer ([\x21-\x7e]{1,1024})$/i;

export class AdminGuard {
  /** Values of Host that name the listener; undefined: any, as no browser reaches a unix socket. */
  readonly #names: ReadonlySet<string> | undefined;
  /** SHA-256 of the token; undefined: the rights of the socket file decide. */
  readonly #token: Buffer | undefined;

  /** `bound`: with the port that the listener has. */
  constructor(bound: AdminAddress, token: string | undefined) {
    this.#names = bound.kind === 'tcp' ? namesOf(bound.address, bound.port) : undefined;
    this.#token = token === undefined ? undefined : digest(token);
  }

  /** Why a request is refused, whatever it asks for; undefined: it is not. */
  whyRefused(request: IncomingMessage): string | undefined {
    const { host, origin } = request.headers;
    if (this.#names === undefined)
      return origin === undefined ? undefined : 'Pages of the web may not ask this listener';
    const peer = request.socket.remoteAddress;
    // a connection that has ended meanwhile has no address
    if (peer === undefined || !isLoopback(peer)) return 'Only this machine may ask this listener';
    // a name of the attacker that points here (DNS rebinding) is in the Host field of what a browser then sends
    if (host === undefined || !this.#names.has(host.toLowerCase()))
      return 'The field Host does not name this listener';
    const isOwn = origin === undefined || this.#names.has(origin.toLowerCase().replace(/^http:\/\//, ''));
    return isOwn ? undefined : 'Pages of other origins may not ask this listener';
  }

  /** Why a request may not change anything. */
  whyNotTrusted(request: IncomingMessage): string | undefined {
    if (this.#token === undefined) return undefined;
    const given = BEARER.exec(request.headers.authorization ?? '')?.[1];
    if (given === undefined)
      return 'An action wants the field "Authorization: Bearer TOKEN"; the log names the file of the token';
    // digests have one length, so that neither time nor an error tells how much of the token was right
    return timingSafeEqual(digest(given), this.#token) ? undefined : 'The token is wrong';
  }
}

function namesOf(address: string, port: number): ReadonlySet<string> {
  const hosts = ['localhost', '127.0.0.1', '::1', address];
  const names = hosts.map((host) => authorityOf(host, port).toLowerCase());
  // clients leave out the port that http has
  if (port === DEFAULT_PORT) for (const name of [...names]) names.push(name.replace(/:80$/, ''));
  return new Set(names);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
