/** The one listening socket of the process: bound once, handed to each worker as a duplicate descriptor. */
import { createServer, type Server } from 'node:net';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import type { ListenAddress } from '../config/config.ts';
import { descriptorOf } from '../native/node-internals.ts';
import {
  closeDescriptor,
  duplicateDescriptor,
  isAvailable,
  unavailableReason,
  whyNotListening,
} from '../native/posix.ts';
import type { ListenSource } from '../worker/messages.ts';

/** Connections the kernel keeps until a worker accepts them; the kernel's own cap (somaxconn) holds as well. */
const BACKLOG_CONNECTIONS = 511;

/** Tried in this order when no address is given: both families on one socket, then IPv4 where there is no IPv6. */
const ALL_ADDRESSES = ['::', '0.0.0.0'] as const;

/** Codes of a kernel that lacks an address family. */
const NO_SUCH_FAMILY: ReadonlySet<string> = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL']);

export interface ListenerOptions {
  /** `dup(2)`; undefined where it cannot be called: workers then bind the address themselves. */
  readonly duplicate: ((descriptor: number) => number) | undefined;
  /** Several sockets may be bound to the one address (Node ≥ 22.12 on Linux); matters only without `duplicate`. */
  readonly reusePort: boolean;
}

export class Listener {
  /** The address bound, `::` or `0.0.0.0` for all. */
  readonly address: string;
  /** The port bound; never 0. */
  readonly port: number;
  readonly #options: ListenerOptions;
  /** The supervisor's own duplicate, never polled; undefined without `duplicate` and after `close`. */
  #descriptor: number | undefined;

  private constructor(
    bound: { address: string; port: number },
    descriptor: number | undefined,
    options: ListenerOptions,
  ) {
    this.address = bound.address;
    this.port = bound.port;
    this.#descriptor = descriptor;
    this.#options = options;
  }

  /** Binds and listens; `option` names what gives the port. Errors: LGW_LISTEN. */
  static async open(listen: ListenAddress, options: ListenerOptions, option = 'port'): Promise<Listener> {
    const server = await bind(listen, option);
    try {
      const bound = server.address();
      if (bound === null || typeof bound === 'string') throw new GatewayError('LGW_LISTEN', 'No TCP socket');
      const descriptor = options.duplicate?.(listeningDescriptor(server));
      return new Listener(bound, descriptor, options);
    } finally {
      // the loop of this thread must not accept: only the duplicate lives on
      await new Promise((resolve) => server.close(resolve));
    }
  }

  /**
   * Takes over a socket that listens already; its descriptor is closed, and a duplicate kept. Errors: LGW_LISTEN, and
   * then the descriptor is left as it is.
   */
  static async adopt(descriptor: number, options: ListenerOptions): Promise<Listener> {
    const reason = whyNotListening(descriptor);
    if (reason !== undefined)
      throw new GatewayError('LGW_LISTEN', `Cannot listen on descriptor ${descriptor}: it ${reason}`);
    if (options.duplicate === undefined)
      throw new GatewayError(
        'LGW_LISTEN',
        `Cannot listen on descriptor ${descriptor}: ${unavailableReason() ?? 'descriptors are not duplicated'}`,
      );
    const own = options.duplicate(descriptor);
    try {
      const bound = await addressOf(options.duplicate(descriptor));
      // from here on no program that a script starts can have it
      closeDescriptor(descriptor);
      return new Listener(bound, own, options);
    } catch (error) {
      closeDescriptor(own);
      throw error;
    }
  }

  /** True when any number of workers can accept from this listener. */
  get sharable(): boolean {
    return this.#options.duplicate !== undefined || this.#options.reusePort;
  }

  /** The supervisor's own descriptor, for a successor; undefined where descriptors are not duplicated, and after `close`. */
  get descriptor(): number | undefined {
    return this.#descriptor;
  }

  /** A source for one worker, which owns the descriptor in it. */
  source(): ListenSource {
    if (this.#descriptor !== undefined && this.#options.duplicate !== undefined)
      return { kind: 'descriptor', descriptor: this.#options.duplicate(this.#descriptor) };
    return { kind: 'bind', address: this.address, port: this.port, reusePort: this.#options.reusePort };
  }

  /** Gives up the supervisor's own hold on the socket; connections are refused once the workers have closed theirs. */
  close(): void {
    if (this.#descriptor === undefined) return;
    closeDescriptor(this.#descriptor);
    this.#descriptor = undefined;
  }
}

/** Closes the descriptor of a source that no worker has taken over. */
export function closeSource(source: ListenSource): void {
  if (source.kind === 'descriptor') closeDescriptor(source.descriptor);
}

async function bind(listen: ListenAddress, option: string): Promise<Server> {
  if (listen.address !== undefined) return await bindOne(listen.address, listen.port, option);
  const [both, onlyIpv4] = ALL_ADDRESSES;
  try {
    return await bindOne(both, listen.port, option);
  } catch (error) {
    const code = error instanceof GatewayError ? systemCodeOf(error.cause) : undefined;
    if (code === undefined || !NO_SUCH_FAMILY.has(code)) throw error;
    return await bindOne(onlyIpv4, listen.port, option);
  }
}

function bindOne(address: string, port: number, option: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => reject(listenError(address, port, option, error)));
    server.listen({ host: address, port, backlog: BACKLOG_CONNECTIONS, exclusive: true }, () => {
      server.removeAllListeners('error');
      // nothing is accepted here, so nothing can fail any more; the process must not end if it does
      server.on('error', () => undefined);
      resolve(server);
    });
  });
}

/** The address that a listening descriptor is bound to; closes it. */
async function addressOf(descriptor: number): Promise<{ address: string; port: number }> {
  const server = createServer();
  const failed = new Promise<never>((_, reject) => {
    server.on('error', (error) =>
      reject(
        new GatewayError('LGW_LISTEN', `Cannot listen on descriptor ${descriptor}: ${messageOf(error)}`, {
          cause: error,
        }),
      ),
    );
  });
  failed.catch(() => undefined);
  server.listen({ fd: descriptor, backlog: BACKLOG_CONNECTIONS, exclusive: true });
  // known at once, and closed before this thread's loop could accept anything
  const bound = server.address();
  const closed = new Promise((resolve) => server.close(resolve));
  if (bound === null || typeof bound === 'string') return await Promise.race([failed, closed.then(noSocket)]);
  await closed;
  return bound;
}

function noSocket(): never {
  throw new GatewayError('LGW_LISTEN', 'The descriptor is not a TCP socket');
}

function listenError(address: string, port: number, option: string, error: unknown): GatewayError {
  return new GatewayError(
    'LGW_LISTEN',
    `Cannot listen on ${formatAddress(address, port)}: ${reason(error, option)}`,
    {
      cause: error,
    },
  );
}

function reason(error: unknown, option: string): string {
  switch (systemCodeOf(error)) {
    case 'EADDRINUSE':
      return `the port is in use by another program; ${option} takes another, 0 any free one`;
    case 'EACCES':
    case 'EPERM':
      return 'permission denied; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE';
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address';
    default:
      return messageOf(error);
  }
}

/** `127.0.0.1:8443`, `[::1]:8443`. */
export function formatAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The descriptor behind a listening server. */
function listeningDescriptor(server: Server): number {
  const descriptor = descriptorOf(server);
  if (descriptor !== undefined) return descriptor;
  throw new GatewayError('LGW_LISTEN', 'The listening socket has no descriptor on this platform');
}

/** What this platform can do: `dup` through koffi, else sockets that share a port, else one worker. */
export function platformListenerOptions(): ListenerOptions {
  return {
    duplicate: isAvailable() ? duplicateDescriptor : undefined,
    reusePort: process.platform === 'linux' && nodeIsAtLeast(22, 12),
  };
}

/** `reusePort` of net.Server came with Node 22.12. */
function nodeIsAtLeast(wantedMajor: number, wantedMinor: number): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
