/**
 * Makes of the settings of the access log a function that formats a line. What is the same for all requests with one head is formatted
 * once and kept with that head.
 */

import { hostname } from 'node:os';
import type { AccessFormat, LogSettings } from '../settings/log-settings.ts';
import { ACCESS_FIELD_SEPARATOR, splitTemplate } from '../settings/log-settings.ts';
import { type AccessFacts, type AccessField, accessField } from './access-fields.ts';
import { clfTime, isoTime, jsonText, msText, quotedText, wordText } from './access-text.ts';

/** A line without its line end, in ASCII but for the sign of what was cut. */
export type FormatLine = (facts: AccessFacts) => string;

export type AccessSettings = Pick<LogSettings, 'accessFormat' | 'accessFields' | 'accessTarget'>;

export interface AccessSurroundings {
  /** The number of the thread. */
  readonly worker: number;
  /** What lines of the form `text` call the thread: `worker-1`. */
  readonly source: string;
  /** Lines of the form `text` name the host that was asked for, because it decides with the target what answers. */
  readonly namesHosts: () => boolean;
}

/** A part of a line. */
interface Part {
  /** When what it writes is another one for the same head: never, with each line, or when this value is another one. */
  readonly changes: 'never' | 'always' | ((facts: AccessFacts) => unknown);
  write(facts: AccessFacts): string;
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
/** journald drops fields with longer names (characters). */
const JOURNAL_NAME_MAX = 64;
/** Severities of syslog: error and informational. */
const SEVERITIES = ['6', '3'] as const;

export function accessFormatter(
  { accessFormat, accessFields, accessTarget }: AccessSettings,
  surroundings: AccessSurroundings,
): FormatLine {
  if (accessTarget.kind === 'journald') return joined(journaldParts(accessFields, surroundings.worker));
  return joined(partsOf(accessFormat, accessFields, surroundings));
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
  return [...jsonHead(format), ...fields.map((name) => jsonPart(accessField(name, worker))), literal('}')];
}

/** What was made for a head: the texts between the parts that change with each line, and the values that hold in them. */
class Pieces {
  /** The formatter that has made it. */
  readonly maker: object;
  readonly values: unknown[];
  texts: readonly string[];

  constructor(maker: object, values: unknown[], texts: readonly string[]) {
    this.maker = maker;
    this.values = values;
    this.texts = texts;
  }
}

/**
 * Only times and ids change with each line. Neighbours of the other parts become one text, which is kept with the identity of the request
 * and made anew where a value in it is another than that of the line before.
 */
function joined(parts: readonly Part[]): FormatLine {
  const runs: Part[][] = [[]];
  const changing: Part[] = [];
  const kept: ((facts: AccessFacts) => unknown)[] = [];
  for (const part of parts) {
    if (part.changes === 'always') {
      changing.push(part);
      runs.push([]);
      continue;
    }
    runs.at(-1)?.push(part);
    if (part.changes !== 'never') kept.push(part.changes);
  }
  const count = changing.length;
  const maker = {};
  const textsOf = (facts: AccessFacts): string[] =>
    runs.map((run) => run.map((part) => part.write(facts)).join(''));
  const piecesOf = (facts: AccessFacts): Pieces => {
    const { identity } = facts.exchange;
    const before = identity.logged;
    if (!(before instanceof Pieces) || before.maker !== maker) {
      const values = kept.map((read) => read(facts));
      const made = new Pieces(maker, values, textsOf(facts));
      identity.logged = made;
      return made;
    }
    const { values } = before;
    let isSame = true;
    for (let i = 0; i < kept.length; i++) {
      const value = (kept[i] as (facts: AccessFacts) => unknown)(facts);
      if (value === values[i]) continue;
      values[i] = value;
      isSame = false;
    }
    if (!isSame) before.texts = textsOf(facts);
    return before;
  };
  return (facts) => {
    const { texts } = piecesOf(facts);
    let line = texts[0] as string;
    for (let i = 0; i < count; i++) line += (changing[i] as Part).write(facts) + (texts[i + 1] as string);
    return line;
  };
}

function isFailed({ exchange }: AccessFacts): boolean {
  return exchange.status >= SERVER_ERROR;
}

function changesOf(field: AccessField): Part['changes'] {
  if (field.isFixed) return 'never';
  const { kind, name } = field;
  const isOfLine =
    kind === 'time' ||
    kind === 'clf' ||
    name === 'request_id' ||
    name === 'duration' ||
    name === 'first_byte';
  return isOfLine ? 'always' : (facts) => field.read(facts);
}

function literal(text: string): Part {
  return { changes: 'never', write: () => text };
}

// ---- text ----

function textParts(
  names: readonly string[] | undefined,
  { worker, source, namesHosts }: AccessSurroundings,
): readonly Part[] {
  const part = (name: string): Part => textPart(accessField(name, worker), names === undefined, namesHosts);
  const start = [accessField('method', worker), accessField('target', worker)];
  return [
    { changes: 'always', write: ({ time }) => isoTime(time) },
    literal(` info ${source} access`),
    ...start.map((field): Part => ({ changes: 'never', write: (facts) => ` ${word(field, facts) ?? ''}` })),
    ...(names ?? TEXT_FIELDS).filter((name) => name !== 'time').map(part),
  ];
}

function textPart(field: AccessField, isUsual: boolean, namesHosts: () => boolean): Part {
  const key = ` ${isUsual ? (TEXT_NAMES[field.name] ?? field.name) : field.name}=`;
  const write = (facts: AccessFacts): string => {
    const value = word(field, facts);
    return value === undefined ? '' : key + value;
  };
  // mappings, and so whether they have hosts, change at a reload
  if (isUsual && field.name === 'host')
    return { changes: namesHosts, write: (facts) => (namesHosts() ? write(facts) : '') };
  return { changes: changesOf(field), write };
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
    return {
      changes: changesOf(field),
      write: (facts) => {
        const value = field.read(facts);
        if (value === undefined || value === '') return '-';
        if (typeof value === 'number') return numberText(field, value);
        return escaped(show === undefined ? value : show(value), field.lengthMax);
      },
    };
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
      changes: isFailed,
      write: (facts) => (isFailed(facts) ? failed : usual),
    },
    literal(isPino ? ',"time":' : ',"time":"'),
    { changes: 'always', write: ({ time }) => (isPino ? String(Math.floor(time)) : isoTime(time)) },
    literal(rest),
  ];
}

function jsonPart(field: AccessField): Part {
  const key = `,${jsonText(field.name, field.name.length)}:`;
  return {
    changes: changesOf(field),
    write: (facts) => {
      const value = field.read(facts);
      if (value === undefined) return '';
      if (field.kind === 'flag') return `${key}true`;
      if (typeof value === 'string') return key + jsonText(value, field.lengthMax);
      const text = numberText(field, value);
      return key + (field.kind === 'clf' ? `"${text}"` : text);
    },
  };
}

// ---- journald ----

/** `NAME=value`, one for each field: `LGATEWAY_STATUS=200`. */
function journaldParts(names: readonly string[] | undefined, worker: number): readonly Part[] {
  const message = ['method', 'target', 'status'].map((name) => accessField(name, worker));
  return [
    literal(`SYSLOG_IDENTIFIER=lgateway${ACCESS_FIELD_SEPARATOR}PRIORITY=`),
    { changes: isFailed, write: (facts) => SEVERITIES[isFailed(facts) ? 1 : 0] },
    literal(`${ACCESS_FIELD_SEPARATOR}MESSAGE=`),
    {
      changes: ({ exchange }) => exchange.status,
      write: (facts) => message.map((field) => word(field, facts) ?? '-').join(' '),
    },
    ...(names ?? JSON_FIELDS).map((name): Part => {
      const field = accessField(name, worker);
      const key = `LGATEWAY_${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`.slice(0, JOURNAL_NAME_MAX);
      return {
        changes: changesOf(field),
        write: (facts) => {
          const value = field.read(facts);
          if (value === undefined) return '';
          const text =
            typeof value === 'string' ? quotedText(value, field.lengthMax) : numberText(field, value);
          return `${ACCESS_FIELD_SEPARATOR}${key}=${text}`;
        },
      };
    }),
  ];
}
