/** The sockets that the gateway listens on, all together: opened or inherited, handed to workers, closed. */
import type { Logger } from '../base/logger.ts';
import type { Config } from '../config/config.ts';
import type { WorkerListener } from '../worker/messages.ts';
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

export class Listeners {
  readonly #logger: Logger;
  readonly #names: ListenNames;
  #open: { scheme: 'https' | 'http'; listener: Listener }[] = [];

  constructor(logger: Logger, names: ListenNames = COMMAND_LINE_NAMES) {
    this.#logger = logger;
    this.#names = names;
  }

  /** Where connections are accepted; empty before `open` and after `close`. */
  get addresses(): readonly BoundAddress[] {
    return this.#open.map(({ scheme, listener }) => ({
      scheme,
      address: listener.address,
      port: listener.port,
    }));
  }

  /** Several workers can accept from each of them. */
  get sharable(): boolean {
    return this.#open.every(({ listener }) => listener.sharable);
  }

  /** None of them speaks TLS. */
  get cleartextOnly(): boolean {
    return this.#open.every(({ scheme }) => scheme === 'http');
  }

  /** Opens what the configuration says, or adopts what it inherits. When it rejects (GatewayError), `close` closes those that are open. */
  async open(config: Config, options: ListenerOptions): Promise<void> {
    const { listen, cleartext, furtherListeners = [], inherited = [] } = config;
    for (const { descriptor, scheme } of inherited) {
      this.#open.push({ scheme, listener: await Listener.adopt(descriptor, options) });
      this.#logger.info(`** Using preopened socket FD ${descriptor} **`);
    }
    if (inherited.length > 0) return;
    if (listen !== undefined)
      this.#open.push({ scheme: 'https', listener: await Listener.open(listen, options, this.#names.https) });
    if (cleartext !== undefined)
      this.#open.push({
        scheme: 'http',
        listener: await Listener.open(cleartext, options, this.#names.http),
      });
    for (const { scheme, ...address } of furtherListeners)
      this.#open.push({ scheme, listener: await Listener.open(address, options, '[[listen]]') });
  }

  /** One source of each listener for one worker, which owns them; or none at all, when it throws. */
  sources(): WorkerListener[] {
    const made: WorkerListener[] = [];
    try {
      for (const { scheme, listener } of this.#open) made.push({ scheme, source: listener.source() });
      return made;
    } catch (error) {
      for (const { source } of made) closeSource(source);
      throw error;
    }
  }

  close(): void {
    for (const { listener } of this.#open.splice(0)) listener.close();
  }
}
