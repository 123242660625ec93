/** Makes of the settings of the access log the parts of a line. */

import { hostname } from 'node:os';
import { FIELD_SEPARATOR, journalName } from '../base/message-form.ts';
import { REQUEST_NUMBER_RADIX, requestIdStart } from '../base/request-id.ts';
import type { AccessFormat, LogSettings } from '../settings/log-settings.ts';
import { splitTemplate } from '../settings/log-settings.ts';
import { putBytes, putMs, putNumber, putTime, replaceBase36 } from './access-bytes.ts';
import { type AccessFacts, type AccessField, accessField } from './access-fields.ts';
import { clfTime, isoTime, jsonText, msText, quotedText, wordText } from './access-text.ts';
import { type KeptPart, type LinePart, LineWriter, type Part } from './line-writer.ts';

export type AccessSettings = Pick<LogSettings, 'accessFormat' | 'accessFields' | 'accessTarget'>;

export interface AccessSurroundings {
  /** The number of the thread. */
  readonly worker: number;
  /** What lines of the form `text` call the thread: `worker-1`. */
  readonly source: string;
  /** Lines of the form `text` name the host that was asked for, because it decides with the target what answers. */
  readonly namesHosts: () => boolean;
}

/** Of `text`, in the order of a line, and what it calls some of them. */
const TEXT_FIELDS =
  'remote host protocol status bytes duration pushed upstream request_id error trace_id span_id'.split(' ');
const TEXT_NAMES: Readonly<Record<string, string>> = { remote: 'peer', duration: 'ms', request_id: 'id' };
/** Of `pino` and `json`; what is fixed comes first, where it is one piece. */
const JSON_FIELDS =
  'remote method target host protocol pushed status bytes duration first_byte waiting lua_cpu sending request_id mapping upstream error trace_id span_id'.split(
    ' ',
  );
/** As Apache and nginx write it. */
const COMBINED =
  '{remote} - - [{clf_time}] "{method} {target} {protocol}" {status} {bytes} "{request.referer}" "{request.user-agent}"';
const LEVELS = { pino: ['30', '50'], json: ['"info"', '"error"'] } as const;
const SERVER_ERROR = 500;
/** Severities of syslog: error and informational. */
const SEVERITIES = ['6', '3'] as const;

export function accessFormatter(
  { accessFormat, accessFields, accessTarget }: AccessSettings,
  surroundings: AccessSurroundings,
): LineWriter {
  const parts =
    accessTarget.kind === 'journald'
      ? journaldParts(accessFields, surroundings.worker)
      : partsOf(accessFormat, accessFields, surroundings);
  return new LineWriter(parts, surroundings.namesHosts);
}

function partsOf(
  format: AccessFormat,
  names: readonly string[] | undefined,
  surroundings: AccessSurroundings,
): readonly Part[] {
  const { worker } = surroundings;
  if (typeof format === 'object') return templateParts(format.template, worker);
  if (format === 'combined') return templateParts(COMBINED, worker, { protocol: combinedProtocol });
  if (format === 'text') return textParts(names, surroundings);
  const fields = (names ?? JSON_FIELDS).filter((name) => name !== 'time');
  return [
    ...jsonHead(format),
    ...fields.map((name) => jsonPart(accessField(name, worker), worker)),
    literal('}'),
  ];
}

function isFailed({ exchange }: AccessFacts): boolean {
  return exchange.status >= SERVER_ERROR;
}

/** `write`: all of the part. `before` and `after` stand around the value where there is one. */
function partOf(
  field: AccessField,
  worker: number,
  write: (facts: AccessFacts) => string,
  before: string,
  after = '',
): Part {
  const { changes } = field;
  if (changes !== 'line') return { changes, write };
  if (field.name !== 'request_id')
    return { changes, before, after, write, isId: false, put: putterOf(field) };
  return { changes, before, after, write, isId: true, ...idPutter(worker) };
}

function putterOf({ name, kind }: AccessField): LinePart['put'] {
  switch (name) {
    case 'duration':
      return (bytes, at, { startedAt, endedAt }) => putMs(bytes, at, endedAt - startedAt);
    case 'first_byte':
      return (bytes, at, { startedAt, headAt }) => putMs(bytes, at, headAt - startedAt);
    default: {
      const form = kind === 'clf' ? 'clf' : 'time';
      return (bytes, at, { time }) => putTime(bytes, at, time, form);
    }
  }
}

function idPutter(worker: number): Pick<LinePart, 'put' | 'replace'> {
  const start = Buffer.from(requestIdStart(worker));
  return {
    put: (bytes, at, { requestNumber }) =>
      putNumber(bytes, putBytes(bytes, at, start), requestNumber, REQUEST_NUMBER_RADIX),
    replace: (bytes, at, size, { requestNumber }) =>
      replaceBase36(bytes, at + start.length, size - start.length, requestNumber),
  };
}

function literal(text: string): KeptPart {
  return { changes: 'never', write: () => text };
}

/** A time of the day, as the head of a line has it. */
function timePart(form: 'time' | 'unix', before = '', after = ''): LinePart {
  const text = (time: number): string => (form === 'unix' ? String(Math.floor(time)) : isoTime(time));
  return {
    changes: 'line',
    before,
    after,
    isId: false,
    put: (bytes, at, { time }) => putTime(bytes, at, time, form),
    write: ({ time }) => before + text(time) + after,
  };
}

// ---- text ----

function textParts(
  names: readonly string[] | undefined,
  { worker, source, namesHosts }: AccessSurroundings,
): readonly Part[] {
  const part = (name: string): Part =>
    textPart(accessField(name, worker), worker, names === undefined, namesHosts);
  const start = [accessField('method', worker), accessField('target', worker)];
  return [
    timePart('time'),
    literal(` info ${source} access`),
    ...start.map((field): Part => ({ changes: 'never', write: (facts) => ` ${word(field, facts) ?? ''}` })),
    ...(names ?? TEXT_FIELDS).filter((name) => name !== 'time').map(part),
  ];
}

function textPart(field: AccessField, worker: number, isUsual: boolean, namesHosts: () => boolean): Part {
  const key = ` ${isUsual ? (TEXT_NAMES[field.name] ?? field.name) : field.name}=`;
  const write = (facts: AccessFacts): string => {
    const value = word(field, facts);
    return value === undefined ? '' : key + value;
  };
  // mappings, and so whether they have hosts, change at a reload
  if (isUsual && field.name === 'host')
    return { changes: 'hosts', write: (facts) => (namesHosts() ? write(facts) : '') };
  return partOf(field, worker, write, key);
}

/** The value as one word; undefined: there is none. */
function word(field: AccessField, facts: AccessFacts): string | undefined {
  const value = field.read(facts);
  if (value === undefined) return undefined;
  return typeof value === 'string' ? wordText(value, field.lengthMax) : numberText(field, value);
}

function numberText({ kind }: AccessField, value: number): string {
  if (kind === 'ms') return msText(value);
  if (kind === 'time') return isoTime(value);
  return kind === 'clf' ? clfTime(value) : String(value);
}

// ---- templates ----

/** Between quotes a value may have blanks. */
function templateParts(
  template: string,
  worker: number,
  shown: Readonly<Record<string, (value: string) => string>> = {},
): readonly Part[] {
  const pieces = splitTemplate(template) ?? [];
  return pieces.map((piece, i) => {
    if (i % 2 === 0) return literal(piece);
    const field = accessField(piece, worker);
    const isQuoted = pieces[i - 1]?.endsWith('"') === true && pieces[i + 1]?.startsWith('"') === true;
    const escaped = isQuoted ? quotedText : wordText;
    const show = shown[piece];
    const write = (facts: AccessFacts): string => {
      const value = field.read(facts);
      if (value === undefined || value === '') return '-';
      if (typeof value === 'number') return numberText(field, value);
      return escaped(show === undefined ? value : show(value), field.lengthMax);
    };
    return partOf(field, worker, write, '');
  });
}

/** Programs that read the format want a version with a point. */
function combinedProtocol(protocol: string): string {
  return protocol === 'HTTP/2' ? 'HTTP/2.0' : protocol;
}

// ---- JSON ----

/** Level, time and message; pino's lines say process and host, too. */
function jsonHead(format: 'pino' | 'json'): readonly Part[] {
  const [usual, failed] = LEVELS[format];
  const isPino = format === 'pino';
  const rest = isPino
    ? `,"pid":${process.pid},"hostname":${jsonText(hostname(), 260)},"msg":"request"`
    : '","msg":"request"';
  return [
    literal('{"level":'),
    {
      changes: 'status',
      write: (facts) => (isFailed(facts) ? failed : usual),
    },
    isPino ? timePart('unix', ',"time":') : timePart('time', ',"time":"'),
    literal(rest),
  ];
}

function jsonPart(field: AccessField, worker: number): Part {
  const key = `,${jsonText(field.name, field.name.length)}:`;
  const write = (facts: AccessFacts): string => {
    const value = field.read(facts);
    if (value === undefined) return '';
    if (field.kind === 'flag') return `${key}true`;
    if (typeof value === 'string') return key + jsonText(value, field.lengthMax);
    const text = numberText(field, value);
    return key + (field.kind === 'clf' ? `"${text}"` : text);
  };
  const quote = field.kind === 'clf' || field.kind === 'text' ? '"' : '';
  return partOf(field, worker, write, key + quote, quote);
}

// ---- journald ----

/** `NAME=value`, one for each field: `LGATEWAY_STATUS=200`. */
function journaldParts(names: readonly string[] | undefined, worker: number): readonly Part[] {
  const message = ['method', 'target', 'status'].map((name) => accessField(name, worker));
  return [
    literal(`SYSLOG_IDENTIFIER=lgateway${FIELD_SEPARATOR}PRIORITY=`),
    { changes: 'status', write: (facts) => SEVERITIES[isFailed(facts) ? 1 : 0] },
    literal(`${FIELD_SEPARATOR}MESSAGE=`),
    {
      changes: 'status',
      write: (facts) => message.map((field) => word(field, facts) ?? '-').join(' '),
    },
    ...(names ?? JSON_FIELDS).map((name): Part => {
      const field = accessField(name, worker);
      const before = `${FIELD_SEPARATOR}${journalName(name)}=`;
      const write = (facts: AccessFacts): string => {
        const value = field.read(facts);
        if (value === undefined) return '';
        return (
          before + (typeof value === 'string' ? quotedText(value, field.lengthMax) : numberText(field, value))
        );
      };
      return partOf(field, worker, write, before);
    }),
  ];
}
