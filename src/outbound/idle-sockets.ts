/** Connections that scripts have given back: idle, by what they may be used for again, each until its time is over. */
import type { Socket } from 'node:net';
import { IDLE_SOCKETS_MAX, IDLE_SOCKETS_PER_NAME_MAX } from './outbound-limits.ts';

interface IdleSocket {
  readonly socket: Socket;
  readonly key: string;
  readonly uses: number;
  /** Ends it: it has been used, the peer has sent something or has closed it, or its time is over. */
  readonly leave: () => void;
}

/** What is taken out. */
export interface TakenSocket {
  readonly socket: Socket;
  /** How often it has been given back. */
  readonly uses: number;
}

export class IdleSockets {
  /** The one that was given back last stands last. */
  readonly #byKey = new Map<string, IdleSocket[]>();
  /** All of them, the oldest first. */
  readonly #all = new Set<IdleSocket>();

  get size(): number {
    return this.#all.size;
  }

  /** Keeps a socket that has a listener for errors, for `ms`. `uses`: how often it was given back, this time included. */
  add(key: string, socket: Socket, uses: number, ms: number): void {
    const drop = (): void => {
      leave();
      socket.destroy();
    };
    const leave = (): void => {
      socket.off('data', drop).off('end', drop).off('error', drop).off('close', drop).off('timeout', drop);
      socket.setTimeout(0);
      this.#remove(idle);
    };
    const idle: IdleSocket = { socket, key, uses, leave };
    // nobody has asked for anything: what comes belongs to no answer
    socket.on('data', drop).on('end', drop).on('error', drop).on('close', drop).on('timeout', drop);
    socket.setTimeout(ms);
    let idles = this.#byKey.get(key);
    if (idles === undefined) {
      idles = [];
      this.#byKey.set(key, idles);
    }
    idles.push(idle);
    this.#all.add(idle);
    const [oldest] = this.#all;
    if (idles.length > IDLE_SOCKETS_PER_NAME_MAX) this.#drop(idles[0] as IdleSocket);
    else if (this.#all.size > IDLE_SOCKETS_MAX) this.#drop(oldest as IdleSocket);
  }

  /** Takes the one that was given back last: it is the least likely to be closed. Undefined: there is none. */
  take(key: string): TakenSocket | undefined {
    const idle = this.#byKey.get(key)?.at(-1);
    idle?.leave();
    return idle;
  }

  /** Closes all. */
  clear(): void {
    for (const idle of [...this.#all]) this.#drop(idle);
  }

  #drop(idle: IdleSocket): void {
    idle.leave();
    idle.socket.destroy();
  }

  #remove(idle: IdleSocket): void {
    if (!this.#all.delete(idle)) return;
    const idles = this.#byKey.get(idle.key) as IdleSocket[];
    idles.splice(idles.indexOf(idle), 1);
    if (idles.length === 0) this.#byKey.delete(idle.key);
  }
}
