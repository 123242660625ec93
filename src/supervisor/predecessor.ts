/** The gateway that has started this process and whose place it takes: what it hands over, and what it is told. */
import type { EventEmitter } from 'node:events';
import { GatewayError } from '../base/errors.ts';
import type { HandedAdmin } from './admin-socket.ts';
import {
  type Handover,
  readMessage,
  SUCCESSOR_MARK,
  type ToPredecessor,
  type ToSuccessor,
  whyNoHandover,
} from './handover.ts';
import { FIRST_DESCRIPTOR } from './inherited-sockets.ts';

/** The first message is on its way when this process begins. */
const HANDOVER_TIMEOUT_MS = 30_000;

/** The pipe to it, as `process` has one. */
export interface PredecessorPipe extends Pick<EventEmitter, 'on' | 'off'> {
  readonly connected?: boolean;
  send?(message: unknown, handle: undefined, options: undefined, sent: () => void): unknown;
  disconnect?(): void;
}

export class Predecessor {
  readonly pid: number;
  readonly handover: Handover;
  /** Resolves when it has said `go`, or has ended: somebody has to serve. */
  readonly #go: Promise<void>;
  readonly #pipe: PredecessorPipe;
  #hear: ((message: ToSuccessor | undefined) => void) | undefined;
  /** What came before anybody heard, undefined for its end. */
  #unheard: (ToSuccessor | undefined)[] = [];

  private constructor(pid: number, handover: Handover, pipe: PredecessorPipe) {
    this.pid = pid;
    this.handover = handover;
    this.#pipe = pipe;
    this.#go = new Promise((resolve) => {
      pipe.on('message', (bytes: unknown) => {
        const message = readMessage<ToSuccessor>(bytes);
        if (message?.type === 'go') resolve();
        else if (message !== undefined) this.#pass(message);
      });
      const ended = (): void => {
        resolve();
        this.#pass(undefined);
      };
      if (pipe.connected) pipe.on('disconnect', ended);
      else ended();
    });
  }

  /** The socket of its admin listener, behind all others; undefined: there is none. */
  get admin(): HandedAdmin | undefined {
    const { admin: place, sockets, openerFiles } = this.handover;
    if (place === undefined) return undefined;
    return { place, descriptor: FIRST_DESCRIPTOR + sockets.length + (openerFiles === undefined ? 0 : 1) };
  }

  /** Undefined when this process is nobody's successor. Errors: LGW_UPGRADE. */
  static async find(
    environment: NodeJS.ProcessEnv = process.env,
    pipe: PredecessorPipe = process,
    pid: number = process.ppid,
  ): Promise<Predecessor | undefined> {
    const isMarked = environment[SUCCESSOR_MARK] !== undefined;
    delete environment[SUCCESSOR_MARK];
    if (!isMarked || pipe.send === undefined) return undefined;
    // it may end at any time, which must not end this process
    pipe.on('error', () => undefined);
    const handover = await firstMessage(pipe);
    return new Predecessor(pid, handover, pipe);
  }

  /** Why nothing comes of this process; resolves when the message is on its way. */
  async failed(message: string): Promise<void> {
    await this.#send({ type: 'failed', message });
    if (this.#pipe.connected) this.#pipe.disconnect?.();
  }

  /** The workers serve; resolves when this process is to take over. */
  async ready(): Promise<void> {
    void this.#send({ type: 'ready' });
    await this.#go;
  }

  /** This process has taken over. */
  taken(): void {
    void this.#send({ type: 'taken' });
  }

  /** What it says from now on and has said before, but `go`; undefined when it has ended. */
  hear(take: (message: ToSuccessor | undefined) => void): void {
    this.#hear = take;
    for (const message of this.#unheard.splice(0)) take(message);
  }

  #pass(message: ToSuccessor | undefined): void {
    if (this.#hear === undefined) this.#unheard.push(message);
    else this.#hear(message);
  }

  #send(message: ToPredecessor): Promise<void> {
    return new Promise((resolve) => {
      if (this.#pipe.connected) this.#pipe.send?.(message, undefined, undefined, () => resolve());
      else resolve();
    });
  }
}

async function firstMessage(pipe: PredecessorPipe): Promise<Handover> {
  const ending = new AbortController();
  try {
    return await new Promise<Handover>((resolve, reject) => {
      const refuse = (reason: string): void =>
        reject(new GatewayError('LGW_UPGRADE', `The process before this one ${reason}`));
      const take = (bytes: unknown): void => {
        const message = readMessage<ToSuccessor>(bytes);
        const reason = message === undefined ? 'sent something unknown' : whyNoHandover(message);
        if (reason !== undefined || message?.type !== 'handover') refuse(reason ?? '');
        else resolve(message);
      };
      const gone = (): void => refuse('ended before it handed anything over');
      const timer = setTimeout(
        () => refuse(`handed nothing over within ${HANDOVER_TIMEOUT_MS} ms`),
        HANDOVER_TIMEOUT_MS,
      );
      pipe.on('message', take);
      if (pipe.connected) pipe.on('disconnect', gone);
      else gone();
      ending.signal.addEventListener('abort', () => {
        clearTimeout(timer);
        pipe.off('message', take);
        pipe.off('disconnect', gone);
      });
    });
  } finally {
    ending.abort();
  }
}
