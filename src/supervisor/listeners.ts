/** The sockets that the gateway listens on, all together: opened or inherited, handed to workers, closed. */
import type { Logger } from '../base/logger.ts';
import type { Config, InheritedSocket, ListenAddress } from '../config/config.ts';
import { closeDescriptor } from '../native/posix.ts';
import type { WorkerListener } from '../worker/messages.ts';
import type { HandedSocket } from './handover.ts';
import { closeSource, Listener, type ListenerOptions } from './listener.ts';

/** An address the gateway is listening on. */
export interface BoundAddress {
  readonly scheme: 'https' | 'http';
  /** `::` and `0.0.0.0` stand for all addresses. */
  readonly address: string;
  readonly port: number;
}

/** What says where the sockets of a scheme are, for messages. */
export type ListenNames = Readonly<Record<'https' | 'http', string>>;

const COMMAND_LINE_NAMES: ListenNames = { https: '-p (--port)', http: '--http' };

/** A listener, and where the configuration says it is; undefined where whoever started the process has bound it. */
interface OpenListener {
  readonly scheme: 'https' | 'http';
  readonly place: ListenAddress | undefined;
  readonly listener: Listener;
  /** Its connections begin with a PROXY head. */
  readonly proxied: boolean;
  /** Its clients are led to the first listener with TLS. */
  readonly redirects?: boolean;
}

export class Listeners {
  readonly #logger: Logger;
  readonly #names: ListenNames;
  #open: OpenListener[] = [];
  #closed: readonly BoundAddress[] = [];

  constructor(logger: Logger, names: ListenNames = COMMAND_LINE_NAMES) {
    this.#logger = logger;
    this.#names = names;
  }

  /** Where connections are accepted; empty before `open` and after `close`. */
  get addresses(): readonly BoundAddress[] {
    return this.#open.map(({ scheme, listener: { address, port } }) => ({ scheme, address, port }));
  }

  /** The same also after `close`: connections go on. In the order of `sources`. */
  get bound(): readonly BoundAddress[] {
    return this.#open.length > 0 ? this.addresses : this.#closed;
  }

  /** Several workers can accept from each of them. */
  get sharable(): boolean {
    return this.#open.every(({ listener }) => listener.sharable);
  }

  /** None of them speaks TLS. */
  get cleartextOnly(): boolean {
    return this.#open.every(({ scheme }) => scheme === 'http');
  }

  /**
   * Opens what the configuration says, or adopts what it inherits: of a predecessor the sockets of the same places, of others all.
   * When it rejects (GatewayError), `close` closes those that are open.
   */
  async open(config: Config, options: ListenerOptions): Promise<void> {
    const {
      listen,
      cleartext,
      redirect,
      furtherListeners = [],
      inherited = [],
      proxyProtocol = false,
    } = config;
    const bound = inherited.filter(({ place }) => place !== undefined);
    for (const { descriptor, scheme, place } of inherited) {
      if (place !== undefined) continue;
      const listener = await Listener.adopt(descriptor, options);
      this.#open.push({ scheme, place, listener, proxied: proxyProtocol });
      this.#logger.info(`** Using preopened socket FD ${descriptor} **`);
    }
    if (this.#open.length > 0) return;
    const open = async (
      scheme: 'https' | 'http',
      at: ListenAddress,
      name: string,
      redirects = false,
    ): Promise<void> => {
      const { proxied = proxyProtocol, ...place } = at;
      const index = bound.findIndex((socket) => isSamePlace(socket, place));
      const [own] = index < 0 ? [] : bound.splice(index, 1);
      const listener =
        own === undefined
          ? await Listener.open(place, options, name)
          : await Listener.adopt(own.descriptor, options);
      this.#open.push({ scheme, place, listener, proxied, redirects });
    };
    if (listen !== undefined) await open('https', listen, this.#names.https);
    if (cleartext !== undefined) await open('http', cleartext, this.#names.http);
    for (const { scheme, ...place } of furtherListeners) await open(scheme, place, '[[listen]]');
    if (redirect !== undefined) await open('http', redirect, '--http-redirect', true);
    // the configuration names them no more
    for (const { descriptor } of bound) closeDescriptor(descriptor);
  }

  /** What a successor takes over, each with its descriptor, which stays this process's; undefined where there is none to hand over. */
  handed():
    | { readonly sockets: readonly HandedSocket[]; readonly descriptors: readonly number[] }
    | undefined {
    const descriptors = this.#open.flatMap(({ listener }) => listener.descriptor ?? []);
    if (descriptors.length !== this.#open.length) return undefined;
    return { sockets: this.#open.map(({ scheme, place }) => ({ scheme, place })), descriptors };
  }

  /** One source of each listener for one worker, which owns them; or none at all, when it throws. */
  sources(): WorkerListener[] {
    const made: WorkerListener[] = [];
    try {
      const secure = this.#open.find(({ scheme }) => scheme === 'https')?.listener.port;
      for (const { scheme, listener, proxied, redirects = false } of this.#open)
        made.push({
          scheme,
          source: listener.source(),
          proxied,
          ...(redirects && secure !== undefined ? { redirectPort: secure } : {}),
        });
      return made;
    } catch (error) {
      for (const { source } of made) closeSource(source);
      throw error;
    }
  }

  close(): void {
    this.#closed = this.bound;
    for (const { listener } of this.#open.splice(0)) listener.close();
  }
}

/** At most so many are opened of it. */
export function listenerCountOf(config: Config): number {
  const { listen, cleartext, redirect, furtherListeners = [], inherited = [] } = config;
  const own = [listen, cleartext, redirect].filter((place) => place !== undefined);
  return Math.max(inherited.length, own.length + furtherListeners.length);
}

function isSamePlace({ place }: InheritedSocket, { address, port }: ListenAddress): boolean {
  return place !== undefined && place.address === address && place.port === port;
}
