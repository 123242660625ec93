/** The forms in which messages of the log leave a thread: text, JSON, syslog (RFC 5424) and fields for journald; where they go is the owner's affair. */
import { hostname } from 'node:os';
import {
  escapeControls,
  formatLine,
  formatText,
  type LogFields,
  type LogLevel,
  MESSAGE_LENGTH_MAX,
  shorten,
  VALUE_LENGTH_MAX,
} from './logger.ts';

/** `pino`: lines as the package of this name writes them. `json`: the same with the level as a word and the time as RFC 3339 has it. */
export const MESSAGE_FORMATS = ['text', 'pino', 'json'] as const;
export type MessageFormat = (typeof MESSAGE_FORMATS)[number];

export interface MessageForm {
  readonly format: MessageFormat;
  /** Who takes them. `lines`: whatever keeps lines apart by their ends. */
  readonly receiver: 'lines' | 'syslog' | 'journald';
}

export const TEXT_FORM: MessageForm = { format: 'text', receiver: 'lines' };

/** Makes a record of a message, without a line end behind it. Records for `lines` and `syslog` have line ends in texts for people only. */
export type FormatMessage = (
  time: Date,
  level: LogLevel,
  source: string,
  message: string,
  fields?: LogFields,
) => string;

/** Between the fields of a record for journald, on the way to the main thread: no value has this control character. */
export const FIELD_SEPARATOR = '\x1f';

/** More fields than a message of ours has: those of a program that embeds the gateway are cut (count). */
const FIELDS_MAX = 64;
/** journald drops fields with longer names (characters). */
const JOURNAL_NAME_MAX = 64;
/** The facility "daemon" (RFC 5424 §6.2.1). */
const FACILITY = 3 * 8;
/** RFC 5424 §6.2.1: error, warning, informational, debug. */
const SEVERITIES: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };
/** Of pino. */
const PINO_LEVELS: Readonly<Record<LogLevel, number>> = { error: 50, warn: 40, info: 30, debug: 20 };
/** What the access log calls it, so that its lines are found by one name. */
const NAMES: Readonly<Record<string, string>> = { request: 'request_id' };
/** What each object has; a field of a message does not take the place of one. */
const TAKEN: readonly string[] = ['level', 'time', 'source', 'worker', 'msg'];
const TAKEN_OF_PINO: readonly string[] = [...TAKEN, 'pid', 'hostname'];

export function messageFormatter({ format, receiver }: MessageForm): FormatMessage {
  if (receiver === 'journald') return journaldRecord;
  const write = format === 'text' ? formatText : jsonWriter(format);
  if (receiver === 'syslog') return syslogWriter(write);
  return format === 'text' ? formatLine : write;
}

/** Visible ASCII without blanks, as RFC 5424 §6.2.4 wants it. */
export function syslogHost(): string {
  return (
    hostname()
      .replace(/[^!-~]/g, '_')
      .slice(0, 255) || '-'
  );
}

/** `<PRI>VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD`, with the blank behind it (RFC 5424 §6). */
export function syslogHead(severity: number, time: Date, host: string, messageId: string): string {
  return `<${FACILITY + severity}>1 ${time.toISOString()} ${host} lgateway ${process.pid} ${messageId} - `;
}

function syslogWriter(write: FormatMessage): FormatMessage {
  const host = syslogHost();
  return (time, level, source, message, fields) => {
    // receivers that keep messages apart by line ends see one, and others need not escape it
    const text = write(time, level, source, message, fields).replaceAll('\n', '\\x0a');
    return syslogHead(SEVERITIES[level], time, host, 'log') + text;
  };
}

function jsonWriter(format: 'pino' | 'json'): FormatMessage {
  const isPino = format === 'pino';
  const taken = new Set(isPino ? TAKEN_OF_PINO : TAKEN);
  const identity = `,"pid":${process.pid},"hostname":${JSON.stringify(hostname())}`;
  return (time, level, source, message, fields) => {
    const head = isPino
      ? `{"level":${PINO_LEVELS[level]},"time":${time.getTime()}${identity}`
      : `{"level":"${level}","time":"${time.toISOString()}"`;
    let line = `${head},"source":${JSON.stringify(source)}${workerOf(source)}`;
    line += `,"msg":${JSON.stringify(shorten(message, MESSAGE_LENGTH_MAX))}`;
    for (const [name, value] of shownFields(fields)) {
      // messages that name their process to people
      if (isPino && name === 'pid' && value === process.pid) continue;
      line += `,${JSON.stringify(taken.has(name) ? `${name}_` : name)}:${jsonValue(value)}`;
    }
    return `${line}}`;
  };
}

/** The thread is a number in lines of the access log, too. */
function workerOf(source: string): string {
  const number = /^worker-(\d+)$/.exec(source)?.[1];
  return number === undefined ? '' : `,"worker":${number}`;
}

function jsonValue(value: unknown): string {
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value)))
    return String(value);
  return JSON.stringify(shorten(String(value), VALUE_LENGTH_MAX));
}

/** `NAME=value`, one for each field; a value may have line ends. */
function journaldRecord(
  _time: Date,
  level: LogLevel,
  source: string,
  message: string,
  fields?: LogFields,
): string {
  const parts = [
    'SYSLOG_IDENTIFIER=lgateway',
    `PRIORITY=${SEVERITIES[level]}`,
    `MESSAGE=${journalValue(message, MESSAGE_LENGTH_MAX)}`,
    `LGATEWAY_SOURCE=${source}`,
  ];
  for (const [name, value] of shownFields(fields))
    parts.push(`${journalName(name)}=${journalValue(String(value), VALUE_LENGTH_MAX)}`);
  return parts.join(FIELD_SEPARATOR);
}

/** `LGATEWAY_REQUEST_ID`: upper-case letters, digits and underscores. */
export function journalName(name: string): string {
  return `LGATEWAY_${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`.slice(0, JOURNAL_NAME_MAX);
}

/** Indented as in texts, where it has line ends; without any other control character. */
function journalValue(value: string, lengthMax: number): string {
  return escapeControls(shorten(value, lengthMax));
}

function shownFields(fields: LogFields | undefined): readonly (readonly [string, unknown])[] {
  if (fields === undefined) return [];
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .slice(0, FIELDS_MAX)
    .map(([name, value]) => [NAMES[name] ?? name, value] as const);
}
