/** The options of the log and the access log, and how their values are read. */
import { MESSAGE_FORMATS, type MessageFormat } from '../base/message-form.ts';
import {
  ACCESS_FIELDS_MAX,
  type AccessFormat,
  isAccessField,
  type LogRotation,
  type LogTarget,
  type MessageTarget,
  ROTATION_BYTES_MAX,
  ROTATION_BYTES_MIN,
  ROTATION_COUNT_DEFAULT,
  ROTATION_COUNT_MAX,
  SYSLOG_PATH,
  splitTemplate,
} from '../settings/log-settings.ts';
import type { ValueOption } from './option.ts';
import { choice, integer, listenAddress, size, type ValueParser } from './value-parsers.ts';

export interface LogOptions {
  readonly logTarget: ValueOption<MessageTarget>;
  readonly logFormat: ValueOption<MessageFormat>;
  readonly logRotate: ValueOption<LogRotation>;
  readonly accessLog: ValueOption<LogTarget>;
  readonly accessLogFormat: ValueOption<AccessFormat>;
  readonly logFields: ValueOption<readonly string[]>;
  readonly accessLogSample: ValueOption<number>;
}

const WORDS = ['log', 'stdout', 'stderr', 'journald'] as const;
const FORMATS = ['text', 'pino', 'json', 'combined'] as const;
const FILE = 'file:';
const SYSLOG = 'syslog';
const UNIX = 'syslog:unix:';
const STREAM = 'syslog:stream:';
const UDP = 'syslog:udp://';
/** Of messages and of the access log. */
const RECEIVERS =
  'stdout, stderr, journald, syslog, syslog:unix:/PATH, syslog:stream:/PATH or syslog:udp://ADDRESS:PORT';
const RECEIVER_PATTERN = 'stdout|stderr|journald|syslog|syslog:unix:/.+|syslog:stream:/.+|syslog:udp://.+';
/** Of a path in the address of a unix socket (bytes). */
const SOCKET_PATH_MAX = 107;

function accessTarget(): ValueParser<LogTarget> {
  return {
    wants: `log, file:/PATH, ${RECEIVERS}`,
    read: readTarget,
    show: showTarget,
    inFile: { types: ['string'], pattern: `^(log|file:/.+|${RECEIVER_PATTERN})$` },
  };
}

/** A file has an option of its own. */
function messageTarget(): ValueParser<MessageTarget> {
  return {
    wants: RECEIVERS,
    read: (text) => {
      const target = readTarget(text);
      return target?.kind === 'log' || target?.kind === 'file' ? undefined : target;
    },
    show: showTarget,
    inFile: { types: ['string'], pattern: `^(${RECEIVER_PATTERN})$` },
  };
}

function showTarget(target: LogTarget): string {
  switch (target.kind) {
    case 'file':
      return FILE + target.path;
    case 'syslog':
      return target.path === SYSLOG_PATH ? SYSLOG : UNIX + target.path;
    case 'stream':
      return STREAM + target.path;
    case 'udp':
      return UDP + listenAddress().show({ address: target.host, port: target.port });
    default:
      return target.kind;
  }
}

function readTarget(text: string): LogTarget | undefined {
  const kind = WORDS.find((word) => word === text);
  if (kind !== undefined) return { kind };
  if (text === SYSLOG) return { kind: 'syslog', path: SYSLOG_PATH };
  if (text.startsWith(UDP)) {
    const { address, port } = listenAddress().read(text.slice(UDP.length)) ?? {};
    return address === undefined || port === undefined || port === 0
      ? undefined
      : { kind: 'udp', host: address, port };
  }
  if (text.startsWith(`${UNIX}/`)) return ofSocket('syslog', text.slice(UNIX.length));
  if (text.startsWith(`${STREAM}/`)) return ofSocket('stream', text.slice(STREAM.length));
  if (!text.startsWith(`${FILE}/`) || text.includes('\0')) return undefined;
  return { kind: 'file', path: text.slice(FILE.length) };
}

function ofSocket(kind: 'syslog' | 'stream', path: string): LogTarget | undefined {
  const isSound = !path.includes('\0') && Buffer.byteLength(path) <= SOCKET_PATH_MAX;
  return isSound ? { kind, path } : undefined;
}

function accessFormat(): ValueParser<AccessFormat> {
  return {
    wants: `one of ${FORMATS.join(', ')}, or a template of visible characters such as "{time} {remote} {status}", with names of fields in braces`,
    read: (text) => {
      const word = FORMATS.find((known) => known === text);
      if (word !== undefined) return word;
      return splitTemplate(text) === undefined ? undefined : { template: text };
    },
    show: (format) => (typeof format === 'string' ? format : format.template),
  };
}

function fieldNames(): ValueParser<readonly string[]> {
  return {
    wants: `names of fields such as time,remote,status,request.user-agent, separated by commas, ${ACCESS_FIELDS_MAX} at most; fields of the request that hold secrets are not logged`,
    read: (text) => {
      const names = text.split(',').map((name) => name.trim());
      const isSound =
        names.length <= ACCESS_FIELDS_MAX &&
        names.every(isAccessField) &&
        new Set(names).size === names.length;
      return isSound ? names : undefined;
    },
    show: (names) => names.join(','),
    inFile: { types: ['list', 'string'] },
  };
}

function rotation(): ValueParser<LogRotation> {
  const bytes = size(ROTATION_BYTES_MIN, ROTATION_BYTES_MAX);
  const count = integer(1, ROTATION_COUNT_MAX);
  return {
    wants: `SIZE or SIZE,COUNT, ${bytes.wants} and ${count.wants}`,
    read: (text) => {
      const [sizeText = '', countText = String(ROTATION_COUNT_DEFAULT), ...more] = text.split(',');
      const [bytesMax, files] = [bytes.read(sizeText), count.read(countText)];
      if (more.length > 0 || bytesMax === undefined || files === undefined) return undefined;
      return { bytesMax, count: files };
    },
    show: ({ bytesMax, count: files }) => `${bytes.show(bytesMax)},${files}`,
  };
}

/** A part of all, such as `0.01`. */
function part(): ValueParser<number> {
  return {
    wants: 'a number from 0 to 1, such as 0.01',
    read: (text) => {
      const value = /^\d(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
      return value <= 1 ? value : undefined;
    },
    show: String,
    inFile: { types: ['number'], min: 0, max: 1 },
  };
}

export const LOG_OPTIONS: LogOptions = {
  logTarget: {
    kind: 'value',
    name: 'log-target',
    argument: 'TARGET',
    value: messageTarget(),
    defaultText: 'the log file, or standard error',
    group: 'Log',
    help: `where messages go: ${RECEIVERS}`,
  },
  logFormat: {
    kind: 'value',
    name: 'log-format',
    argument: 'FORMAT',
    value: choice(MESSAGE_FORMATS),
    defaultText: 'text',
    group: 'Log',
    help: `what messages look like: ${MESSAGE_FORMATS.join(', ')}; the last two are JSON`,
  },
  logRotate: {
    kind: 'value',
    name: 'log-rotate',
    argument: 'SIZE[,COUNT]',
    value: rotation(),
    defaultText: 'never',
    group: 'Log',
    help: `begin a new log file before one has more than SIZE, and keep COUNT old ones (${ROTATION_COUNT_DEFAULT}), FILE.1 the youngest`,
  },
  accessLog: {
    kind: 'value',
    name: 'access-log',
    argument: '[=TARGET]',
    value: accessTarget(),
    bare: { kind: 'log' },
    isAttached: true,
    group: 'Log',
    help: `write one line for each request, to the log or to TARGET: file:/PATH, ${RECEIVERS}`,
  },
  accessLogFormat: {
    kind: 'value',
    name: 'access-log-format',
    argument: 'FORMAT',
    value: accessFormat(),
    defaultText: 'that of the log',
    group: 'Log',
    help: `what these lines look like: ${FORMATS.join(', ')}, or a template such as "{time} {remote} {method} {path} {status}"`,
  },
  logFields: {
    kind: 'value',
    name: 'log-fields',
    argument: 'NAME,...',
    value: fieldNames(),
    defaultText: 'those of the format',
    group: 'Log',
    help: 'fields of these lines, such as time,remote,status,request.user-agent',
  },
  accessLogSample: {
    kind: 'value',
    name: 'access-log-sample',
    argument: 'PART',
    value: part(),
    defaultText: '1',
    group: 'Log',
    help: 'part of the requests that get a line, such as 0.01; those of status 500 and more always do',
  },
};
