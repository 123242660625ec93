/** Where the log and the access log go, in which form, and what each line of the access log says; names and their rules, no code that writes. */
import { createLogger, type LevelLogger, type LogLevel } from '../base/logger.ts';
import { type MessageForm, type MessageFormat, messageFormatter } from '../base/message-form.ts';

/** Where messages of the log go that go to no file. */
export type MessageTarget =
  | { readonly kind: 'stdout' | 'stderr' | 'journald' }
  /** RFC 5424, to a unix socket of datagrams, over one that is a stream, or by UDP to an address. */
  | { readonly kind: 'syslog' | 'stream'; readonly path: string }
  | { readonly kind: 'udp'; readonly host: string; readonly port: number };

/** Where lines of the access log go. `log`: where the log goes. */
export type LogTarget =
  | MessageTarget
  | { readonly kind: 'log' }
  | { readonly kind: 'file'; readonly path: string };

/** When a file has grown too large it is renamed to FILE.1, and one of before to FILE.2. */
export interface LogRotation {
  /** The file is exchanged before it would have more bytes. */
  readonly bytesMax: number;
  /** How many old files are kept. */
  readonly count: number;
}

/** What a line of the access log is made of: a named form, or a template with names of fields in braces. */
export type AccessFormat = 'text' | 'pino' | 'json' | 'combined' | { readonly template: string };

export interface LogSettings {
  /** Of messages. */
  readonly format: MessageFormat;
  /** Undefined: the log file or, without one, standard error. */
  readonly target: MessageTarget | undefined;
  readonly rotation: LogRotation | undefined;
  readonly accessTarget: LogTarget;
  readonly accessFormat: AccessFormat;
  /** Names of fields, in the order of a line; undefined = those of the format. */
  readonly accessFields: readonly string[] | undefined;
  /** The part of all exchanges that has a line, from 0 to 1; those of status 500 and more always have one. */
  readonly accessSample: number;
}

/** Where programs of this machine send to. */
export const SYSLOG_PATH = '/dev/log';
export const JOURNALD_PATH = '/run/systemd/journal/socket';

export const DEFAULT_LOG_SETTINGS: LogSettings = {
  format: 'text',
  target: undefined,
  rotation: undefined,
  accessTarget: { kind: 'log' },
  accessFormat: 'text',
  accessFields: undefined,
  accessSample: 1,
};

/** How messages of the log leave the threads. */
export function messageForm({ format, target }: Pick<LogSettings, 'format' | 'target'>): MessageForm {
  switch (target?.kind) {
    case 'journald':
      return { format, receiver: 'journald' };
    case 'syslog':
    case 'stream':
    case 'udp':
      return { format, receiver: 'syslog' };
    default:
      return { format, receiver: 'lines' };
  }
}

/** A logger that hands its messages to `sink`, at the level and in the form of the settings. */
export function openLogger(
  { logLevel, logs }: { readonly logLevel: LogLevel; readonly logs: Pick<LogSettings, 'format' | 'target'> },
  source: string,
  sink: (record: string) => void,
): LevelLogger {
  return createLogger(logLevel, source, sink, messageFormatter(messageForm(logs)));
}

/** A line with more fields is hardly read (count). */
export const ACCESS_FIELDS_MAX = 64;
/** A longer template is hardly meant (characters). */
export const TEMPLATE_LENGTH_MAX = 2048;
/** A smaller file would be exchanged at each write; a larger one is none that anybody opens. */
export const ROTATION_BYTES_MIN: number = 64 * 1024;
export const ROTATION_BYTES_MAX: number = 1024 ** 4;
export const ROTATION_COUNT_MAX = 100;
export const ROTATION_COUNT_DEFAULT = 5;

const NAMES = [
  'time',
  'clf_time',
  'worker',
  'request_id',
  'remote',
  'remote_port',
  'scheme',
  'protocol',
  'method',
  'target',
  'path',
  'query',
  'host',
  'status',
  'bytes',
  'duration',
  'first_byte',
  'waiting',
  'lua_cpu',
  'sending',
  'mapping',
  'handler',
  'upstream',
  'cache',
  'error',
  'pushed',
  'tls_protocol',
  'tls_cipher',
  'server_name',
  'trace_id',
  'span_id',
] as const;
export type AccessFieldName = (typeof NAMES)[number];
/** All fields but `request.NAME`, the field NAME of the request. */
export const ACCESS_FIELD_NAMES: readonly AccessFieldName[] = NAMES;

export const REQUEST_FIELD = 'request.';
/** What lets its holder act for somebody is not written anywhere. */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'cookie2',
  'x-api-key',
  'x-auth-token',
  'x-csrf-token',
  'x-xsrf-token',
  'x-amz-security-token',
]);

/** True for a field that a line of the access log may have. */
export function isAccessField(name: string): boolean {
  if (!name.startsWith(REQUEST_FIELD)) return ACCESS_FIELD_NAMES.some((known) => known === name);
  const field = name.slice(REQUEST_FIELD.length);
  return /^[!#$%&'*+.^_`|~0-9a-z-]{1,100}$/.test(field) && !SECRET_FIELDS.has(field);
}

/** The pieces of a template: texts and, at odd places, names of fields; undefined: it has a name that is no field, or a character that is not visible. */
export function splitTemplate(template: string): readonly string[] | undefined {
  if (template.length > TEMPLATE_LENGTH_MAX || !/^[ -~]*$/.test(template)) return undefined;
  const pieces = template.split(/\{([^{}]*)\}/);
  const names = pieces.filter((_, i) => i % 2 === 1);
  const isSound = names.length > 0 && names.length <= ACCESS_FIELDS_MAX && names.every(isAccessField);
  return isSound ? pieces : undefined;
}
