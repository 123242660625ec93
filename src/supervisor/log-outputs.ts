/** Where the log and the access log of the process go, which may be elsewhere after a reload. */

import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../base/errors.ts';
import { formatLine, type LogLevel } from '../base/logger.ts';
import { type FormatMessage, messageFormatter } from '../base/message-form.ts';
import type { Config } from '../config/config.ts';
import {
  JOURNALD_PATH,
  type LogSettings,
  type LogTarget,
  type MessageTarget,
  messageForm,
} from '../settings/log-settings.ts';
import { DatagramSink, udpSender, unixSender } from './datagram-sink.ts';
import { type Frame, journaldFrame, syslogFrame, syslogRecord } from './log-frames.ts';
import { LogSink } from './log-sink.ts';
import { StreamSink } from './stream-sink.ts';

/** Bytes that wait for a disk: the access log has thousands of lines a second (one sink). */
const QUEUE_BYTES_MAX = 8 * 1024 * 1024;

type LogConfig = Pick<Config, 'accessLog' | 'logFile' | 'logs'>;

/** Other places, open already. */
export interface PreparedOutputs {
  /** From now on. */
  commit(): void;
  abandon(): void;
}

type Sink = LogSink | DatagramSink | StreamSink;

/** Of a place that may be opened when it is not the present one. */
interface Opened {
  readonly target: LogTarget;
  /** Undefined: that of the log. */
  readonly sink: Sink | undefined;
}

/** Of the log that goes to a file, or to standard error where the file is undefined. */
interface OpenedLog {
  readonly file: string | undefined;
  readonly sink: Sink;
}

export class LogOutputs {
  #log: OpenedLog;
  /** How messages are written. */
  readonly format: FormatMessage;
  readonly #isBackground: boolean;
  #access: Opened;
  /** Of targets that reloads have replaced. */
  #lostBefore = { log: 0, access: 0 };

  /** `isBackground`: there is no terminal, and lines without a file go nowhere. Errors: LGW_LOG_FILE, LGW_NATIVE_UNAVAILABLE, LGW_DESCRIPTOR. */
  constructor({ logFile, logs, accessLog }: LogConfig, isBackground = false) {
    this.format = messageFormatter(messageForm(logs));
    this.#isBackground = isBackground;
    this.#log = this.#openLog(logFile, logs);
    this.#access = open(accessLog ? logs.accessTarget : { kind: 'log' }, logs);
  }

  #openLog(file: string | undefined, { target, rotation }: LogSettings): OpenedLog {
    const { format } = this;
    if (target !== undefined)
      return { file, sink: openTarget(target, { log: 'log', frames: MESSAGE_FRAMES, format }) };
    const where = file ?? (this.#isBackground ? null : undefined);
    return { file, sink: new LogSink({ file: where, rotation, queueBytesMax: QUEUE_BYTES_MAX, format }) };
  }

  /** Takes a message, as `format` writes it. Never blocks, never throws. */
  readonly writeMessage = (record: string): void => this.#log.sink.write(record);

  /** Takes lines of the access log, each with its line end. The bytes are its own, or are given back when they have been written. */
  readonly writeAccess = (bytes: Uint8Array, lines: number): void =>
    (this.#access.sink ?? this.#log.sink).writeLines(bytes, lines);

  /** Writes the last message of a process that ends now, also to standard error where its log may not get it any more. */
  writeNow(level: LogLevel, source: string, message: string): void {
    const { sink } = this.#log;
    sink.writeNow(this.format(new Date(), level, source, message));
    if (!(sink instanceof LogSink)) new LogSink().writeNow(formatLine(new Date(), level, source, message));
  }

  /** Opens what a reload asks for, beside what there is. Errors: LGW_LOG_FILE. */
  prepare({ accessLog, logs, logFile }: LogConfig): PreparedOutputs {
    const [oldLog, oldAccess] = [this.#log, this.#access];
    // lines of requests that have ended may still be on the way when the access log is switched off
    const keepsAccess = !accessLog || isDeepStrictEqual(oldAccess.target, logs.accessTarget);
    const keepsLog = oldLog.file === logFile;
    const log = keepsLog ? oldLog : this.#openLog(logFile, logs);
    let access: Opened;
    try {
      access = keepsAccess ? oldAccess : open(logs.accessTarget, logs);
    } catch (error) {
      if (!keepsLog) log.sink.close();
      throw error;
    }
    return {
      commit: () => {
        [this.#log, this.#access] = [log, access];
        if (!keepsLog) {
          this.#lostBefore.log += oldLog.sink.lostTotal;
          oldLog.sink.close();
        }
        if (!keepsAccess) {
          this.#lostBefore.access += oldAccess.sink?.lostTotal ?? 0;
          oldAccess.sink?.close();
        }
        for (const sink of [log.sink, access.sink]) sink?.setRotation(logs.rotation);
      },
      abandon: () => {
        if (!keepsLog) log.sink.close();
        if (!keepsAccess) access.sink?.close();
      },
    };
  }

  /** Opens files anew after they were renamed; `failed` hears of each that stays what it was. */
  reopen(failed: (message: string) => void): void {
    for (const sink of [this.#log.sink, this.#access.sink]) {
      try {
        sink?.reopen();
      } catch (error) {
        failed(messageOf(error));
      }
    }
  }

  /** Lines that could not be written, since the start. Those of an access log that goes where the log goes count there. */
  get lostLines(): { readonly log: number; readonly access: number } {
    const { log, access } = this.#lostBefore;
    return {
      log: log + this.#log.sink.lostTotal,
      access: access + (this.#access.sink?.lostTotal ?? 0),
    };
  }

  async flush(timeoutMs: number): Promise<void> {
    await Promise.all([this.#log.sink.flush(timeoutMs), this.#access.sink?.flush(timeoutMs)]);
  }
}

function open(target: LogTarget, logs: LogSettings): Opened {
  if (target.kind === 'log') return { target, sink: undefined };
  const { accessFormat } = logs;
  const format = messageFormatter({
    format: accessFormat === 'pino' || accessFormat === 'json' ? accessFormat : 'text',
    receiver: 'lines',
  });
  if (target.kind !== 'file')
    return { target, sink: openTarget(target, { log: 'access log', frames: ACCESS_FRAMES, format }) };
  const { rotation } = logs;
  return {
    target,
    sink: new LogSink({ file: target.path, rotation, queueBytesMax: QUEUE_BYTES_MAX, format }),
  };
}

interface Frames {
  readonly syslog: Frame;
  readonly journald: Frame;
}

const ACCESS_FRAMES: Frames = { syslog: syslogFrame, journald: journaldFrame };
const MESSAGE_FRAMES: Frames = { syslog: syslogRecord, journald: journaldFrame };

/** Errors: LGW_NATIVE_UNAVAILABLE, LGW_DESCRIPTOR. */
function openTarget(
  target: MessageTarget,
  { log, frames, format }: { readonly log: string; readonly frames: Frames; readonly format: FormatMessage },
): Sink {
  switch (target.kind) {
    case 'journald':
      return new DatagramSink({
        log,
        name: 'journald',
        sender: unixSender(JOURNALD_PATH),
        frame: frames.journald,
      });
    case 'syslog':
      return new DatagramSink({
        log,
        name: target.path,
        sender: unixSender(target.path),
        frame: frames.syslog,
      });
    case 'stream':
      return new StreamSink({ log, name: target.path, path: target.path, frame: frames.syslog });
    case 'udp': {
      const { host, port } = target;
      return new DatagramSink({ log, name: host, sender: udpSender(host, port), frame: frames.syslog });
    }
    default: {
      const descriptor = target.kind === 'stdout' ? 1 : 2;
      return new LogSink({ descriptor, queueBytesMax: QUEUE_BYTES_MAX, format });
    }
  }
}
