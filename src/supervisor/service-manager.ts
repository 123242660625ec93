/** Tells systemd how this process is (sd_notify(3)): ready, reloading, stopping, and that it is alive. */
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { UnixDatagrams } from '../native/unix-datagrams.ts';

/** Alive is told so often within the time that the service manager waits for it. */
const BEATS_PER_WATCHDOG = 2;
/** A shorter watchdog would be one of chance: workers give their heartbeats twice a second. */
const WATCHDOG_MS_MIN = 2000;

export class ServiceManager {
  readonly #send: (text: string) => void;
  #timer: NodeJS.Timeout | undefined;

  /** `send` takes the lines of one datagram. */
  constructor(send: (text: string) => void) {
    this.#send = send;
  }

  /** Undefined where nobody is to be told. What cannot be sent is a warning in the log, once. */
  static of(environment: NodeJS.ProcessEnv, logger: Logger): ServiceManager | undefined {
    const { NOTIFY_SOCKET: path } = environment;
    if (path === undefined || !/^[/@]./.test(path)) return undefined;
    let isTold = false;
    const fail = (reason: string): void => {
      if (!isTold) logger.warn(`The service manager cannot be told how the gateway is: ${reason}`);
      isTold = true;
    };
    try {
      const datagrams = new UnixDatagrams(path);
      return new ServiceManager((text) => {
        const reason = datagrams.send(Buffer.from(text));
        if (reason !== undefined) fail(reason);
      });
    } catch (error) {
      fail(messageOf(error));
      return undefined;
    }
  }

  /** It serves, for the first time or again after a reload. */
  ready(status: string): void {
    this.#send(`READY=1\nSTATUS=${status}`);
  }

  /** `ready` comes next, whatever comes of it. */
  reloading(): void {
    const microseconds = process.hrtime.bigint() / 1000n;
    this.#send(`RELOADING=1\nMONOTONIC_USEC=${microseconds}\nSTATUS=Reloading`);
  }

  stopping(): void {
    this.#send('STOPPING=1\nSTATUS=Finishing open requests');
  }

  /** Another process serves in the place of this one. */
  handedTo(pid: number): void {
    this.#send(`MAINPID=${pid}`);
  }

  /** Tells that the gateway is alive, for as long as `isAlive` says so, where the environment asks for that. */
  watch(environment: NodeJS.ProcessEnv, isAlive: () => boolean, logger: Logger): void {
    const periodMs = Number(environment['WATCHDOG_USEC'] ?? 0) / 1000;
    if (!(periodMs > 0)) return;
    if (periodMs < WATCHDOG_MS_MIN)
      logger.warn(
        `WatchdogSec is ${periodMs / 1000} s, and less than ${WATCHDOG_MS_MIN / 1000} s is not dependable`,
      );
    const beat = (): void => {
      if (isAlive()) this.#send('WATCHDOG=1');
    };
    beat();
    this.#timer = setInterval(beat, periodMs / BEATS_PER_WATCHDOG);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
