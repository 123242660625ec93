/** Where the log and the access log of the process go; the access log may go elsewhere after a reload. */

import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import { JOURNALD_PATH, type LogSettings, type LogTarget } from '../settings/log-settings.ts';
import { DatagramSink, journaldFrame, syslogFrame, udpSender, unixSender } from './datagram-sink.ts';
import { LogSink } from './log-sink.ts';

/** Bytes of the access log that wait for a disk: it has thousands of lines a second (one sink). */
const ACCESS_QUEUE_BYTES_MAX = 8 * 1024 * 1024;

type LogConfig = Pick<Config, 'accessLog' | 'logFile' | 'logs'>;

/** Another place for the access log, open already. */
export interface PreparedAccess {
  /** From now on. */
  commit(): void;
  abandon(): void;
}

/** Of a place that may be opened when it is not the present one. */
interface Opened {
  readonly target: LogTarget;
  /** Undefined: that of the log. */
  readonly sink: LogSink | DatagramSink | undefined;
}

export class LogOutputs {
  readonly log: LogSink;
  #access: Opened;
  /** Of targets of the access log that a reload has replaced. */
  #lostBefore = 0;

  /** `isBackground`: there is no terminal, and lines without a file go nowhere. Errors: LGW_LOG_FILE. */
  constructor({ logFile, logs, accessLog }: LogConfig, isBackground = false) {
    const file = logFile ?? (isBackground ? null : undefined);
    this.log = new LogSink({ file, rotation: logs.rotation, queueBytesMax: ACCESS_QUEUE_BYTES_MAX });
    this.#access = open(accessLog ? logs.accessTarget : { kind: 'log' }, logs);
  }

  /** Takes lines of the access log, each with its line end. The bytes are its own, or are given back when they have been written. */
  readonly writeAccess = (bytes: Uint8Array, lines: number): void =>
    (this.#access.sink ?? this.log).writeLines(bytes, lines);

  /** Opens what a reload asks for, beside what there is. Errors: LGW_LOG_FILE. */
  prepare({ accessLog, logs }: Pick<LogConfig, 'accessLog' | 'logs'>): PreparedAccess {
    const { target } = this.#access;
    // lines of requests that have ended may still be on the way when the access log is switched off
    const isSame = !accessLog || isDeepStrictEqual(target, logs.accessTarget);
    const next = isSame ? this.#access : open(logs.accessTarget, logs);
    return {
      commit: () => {
        const old = this.#access;
        this.#access = next;
        if (!isSame) {
          this.#lostBefore += old.sink?.lostTotal ?? 0;
          old.sink?.close();
        }
        for (const sink of [this.log, next.sink]) sink?.setRotation(logs.rotation);
      },
      abandon: () => {
        if (!isSame) next.sink?.close();
      },
    };
  }

  /** Opens files anew after they were renamed; `failed` hears of each that stays what it was. */
  reopen(failed: (message: string) => void): void {
    for (const sink of [this.log, this.#access.sink]) {
      try {
        sink?.reopen();
      } catch (error) {
        failed(messageOf(error));
      }
    }
  }

  /** Lines that could not be written, since the start. Those of an access log that goes where the log goes count there. */
  get lostLines(): { readonly log: number; readonly access: number } {
    return { log: this.log.lostTotal, access: this.#lostBefore + (this.#access.sink?.lostTotal ?? 0) };
  }

  async flush(timeoutMs: number): Promise<void> {
    await Promise.all([this.log.flush(timeoutMs), this.#access.sink?.flush(timeoutMs)]);
  }
}

function open(target: LogTarget, { rotation }: LogSettings): Opened {
  const queueBytesMax = ACCESS_QUEUE_BYTES_MAX;
  switch (target.kind) {
    case 'log':
      return { target, sink: undefined };
    case 'file':
      return { target, sink: new LogSink({ file: target.path, rotation, queueBytesMax }) };
    case 'journald':
      return { target, sink: datagrams('journald', unixSender(JOURNALD_PATH), journaldFrame) };
    case 'syslog':
      return { target, sink: datagrams(target.path, unixSender(target.path), syslogFrame) };
    case 'udp':
      return { target, sink: datagrams(target.host, udpSender(target.host, target.port), syslogFrame) };
    default:
      return { target, sink: new LogSink({ descriptor: target.kind === 'stdout' ? 1 : 2, queueBytesMax }) };
  }
}

function datagrams(
  name: string,
  sender: ReturnType<typeof unixSender>,
  frame: (line: string) => Buffer,
): DatagramSink {
  return new DatagramSink({ name, sender, frame });
}
