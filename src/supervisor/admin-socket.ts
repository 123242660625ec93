/** The listening socket of an admin listener on a port: bound once, kept while the listener changes over to another process, and handed to that. */
import { closeDescriptor } from '../native/posix.ts';
import { Listener, type ListenerOptions } from './listener.ts';

/** A port of the loopback interface, as the configuration has it; 0 = any free one. */
export interface AdminPlace {
  readonly address: string;
  readonly port: number;
}

/** What a process has got of the one before it. */
export interface HandedAdmin {
  readonly place: AdminPlace;
  readonly descriptor: number;
}

export class AdminSocket {
  readonly #options: ListenerOptions;
  #place: AdminPlace | undefined;
  #listener: Listener | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Takes over a socket where it is the one that this process wants, and closes it where it is not. Errors: LGW_LISTEN. */
  async adopt({ place, descriptor }: HandedAdmin, wanted: AdminPlace | undefined): Promise<void> {
    if (wanted === undefined || !isSame(place, wanted)) {
      closeDescriptor(descriptor);
      return;
    }
    this.#listener = await Listener.adopt(descriptor, this.#options);
    this.#place = place;
  }

  /**
   * A descriptor that listens there, for the server that accepts from it and closes it. Connections that come while there is none wait
   * for the next. Undefined where descriptors are not duplicated. Errors: LGW_LISTEN.
   */
  async descriptor(place: AdminPlace): Promise<number | undefined> {
    if (this.#options.duplicate === undefined) return undefined;
    this.#listener ??= await Listener.open(place, this.#options, '--admin');
    this.#place = place;
    const source = this.#listener.source();
    return source.kind === 'descriptor' ? source.descriptor : undefined;
  }

  /** What a successor takes over; the descriptor stays this process's. Undefined: there is none. */
  get handed(): HandedAdmin | undefined {
    const descriptor = this.#listener?.descriptor;
    if (descriptor === undefined || this.#place === undefined) return undefined;
    return { place: this.#place, descriptor };
  }

  close(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }
}

function isSame(one: AdminPlace, other: AdminPlace): boolean {
  return one.address === other.address && one.port === other.port;
}
