/** Serves HTTP/2 on accepted sockets: makes the sessions, sweeps them, and ends them. */

import type { Socket } from 'node:net';
import { COUNT } from '../../metrics/worker-metrics.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { ExchangeSettings } from '../exchange/exchange-wire.ts';
import { LATE_BODY_QUIET_MS } from '../exchange/late-body.ts';
import { StallWatch } from '../exchange/stall-watch.ts';
import { FrameWriter } from './frame-writer.ts';
import { Session, type SessionLimits } from './session.ts';
import type { SessionClocks } from './session-clock.ts';

export class SessionServer {
  readonly #limits: SessionLimits & SessionClocks;
  readonly #settings: ExchangeSettings;
  readonly #handle: (exchange: Exchange) => void;
  readonly #writer = new FrameWriter();
  readonly #lateBodies = new StallWatch(LATE_BODY_QUIET_MS);
  readonly #sessions = new Set<Session>();
  #draining = false;

  /** `limits` are read at each use, as a reload may change them. */
  constructor(
    limits: SessionLimits & SessionClocks,
    settings: ExchangeSettings,
    handle: (exchange: Exchange) => void,
  ) {
    this.#limits = limits;
    this.#settings = settings;
    this.#handle = handle;
  }

  /** Takes over a connected socket that speaks HTTP/2. */
  serve(socket: Socket): void {
    const { counters } = this.#settings;
    const session = new Session(
      socket,
      this.#writer,
      this.#limits,
      this.#settings,
      this.#lateBodies,
      this.#handle,
    );
    this.#sessions.add(session);
    counters.add(COUNT.sessions, 1);
    socket.on('error', ignore);
    session.start();
    socket.on('close', () => {
      this.#sessions.delete(session);
      counters.add(COUNT.sessions, -1);
    });
    if (this.#draining) session.close();
  }

  /** Sends GOAWAY to every session; sessions that are new may still ask. `drain` comes next. */
  leave(): void {
    for (const session of this.#sessions) session.close();
  }

  /** Sends GOAWAY to every session; a session closes after its last stream. */
  drain(): void {
    this.#draining = true;
    for (const session of this.#sessions) session.close();
  }

  stop(): void {
    for (const session of this.#sessions) session.socket.destroy();
  }

  /** Looks at the deadlines of all sessions; `now` is a time of performance.now. */
  sweep(now: number): void {
    this.#lateBodies.sweep(now);
    for (const session of this.#sessions) session.sweep(now, this.#limits);
  }
}

/** Needs to do nothing: `close` follows every error of a socket. */
function ignore(): void {}
