/** The logging seam: levels and the small interface every part writes to; where lines go is the owner's affair. */

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Values that may stand behind a log message; never a secret. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Logger {
  /** Lines above this level are dropped; callers may check it before they build a costly message. */
  readonly level: LogLevel;
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

/** True when a logger of `level` keeps lines of `wanted`. */
export function keepsLevel(level: LogLevel, wanted: LogLevel): boolean {
  return LOG_LEVELS.indexOf(wanted) <= LOG_LEVELS.indexOf(level);
}

/** A logger whose level can be changed while it is in use. */
export interface LevelLogger extends Logger {
  setLevel(level: LogLevel): void;
}

/** A logger that hands each message, as `format` writes it (without line end), to `sink`. */
export function createLogger(
  firstLevel: LogLevel,
  source: string,
  sink: (line: string) => void,
  format: typeof formatLine = formatLine,
): LevelLogger {
  let level = firstLevel;
  const write = (wanted: LogLevel, message: string, fields?: LogFields): void => {
    if (keepsLevel(level, wanted)) sink(format(new Date(), wanted, source, message, fields));
  };
  return {
    get level(): LogLevel {
      return level;
    },
    setLevel: (next) => {
      level = next;
    },
    error: (message, fields) => write('error', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    info: (message, fields) => write('info', message, fields),
    debug: (message, fields) => write('debug', message, fields),
  };
}

/** A longer message is cut (characters): what scripts and clients have a hand in must not fill the log by one line. */
export const MESSAGE_LENGTH_MAX: number = 64 * 1024;
/** A longer value is cut (characters); a target of a request is shorter. */
export const VALUE_LENGTH_MAX: number = 32 * 1024;

/** `2026-01-02T03:04:05.678Z info worker-1 message key=value`: line ends inside the message are indented, not lost. */
export function formatLine(
  time: Date,
  level: LogLevel,
  source: string,
  message: string,
  fields?: LogFields,
): string {
  return `${time.toISOString()} ${level} ${formatText(time, level, source, message, fields)}`;
}

/** The same without time and level, for receivers that are told them otherwise. */
export function formatText(
  _time: Date,
  _level: LogLevel,
  source: string,
  message: string,
  fields?: LogFields,
): string {
  let line = `${source} ${escapeControls(shorten(message, MESSAGE_LENGTH_MAX))}`;
  for (const [key, value] of Object.entries(fields ?? {})) {
    if (value !== undefined) line += ` ${key}=${quoteValue(shorten(String(value), VALUE_LENGTH_MAX))}`;
  }
  return line;
}

/** What is missing is said: `text… (12 bytes more)`. */
export function shorten(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text;
  return `${text.slice(0, lengthMax)}… (${Buffer.byteLength(text) - Buffer.byteLength(text.slice(0, lengthMax))} bytes more)`;
}

const ESCAPES: readonly (string | undefined)[] = controlEscapes();

/** Control characters never reach a terminal or forge a line: `\x1b`, and a line feed continues indented. */
export function escapeControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
  if (!/[\u0000-\u0008\u000a-\u001f\u007f]/.test(text)) return text;
  let escaped = '';
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const replacement = ESCAPES[text.charCodeAt(at)];
    if (replacement === undefined) continue;
    escaped += text.slice(from, at) + replacement;
    from = at + 1;
  }
  return escaped + text.slice(from);
}

function quoteValue(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
  return /^[^\s"=\u0000-\u001f\u007f]+$/.test(value) ? value : JSON.stringify(value);
}

/** Of the control characters, by code; a tab stays. */
function controlEscapes(): readonly (string | undefined)[] {
  const escapes: (string | undefined)[] = new Array(128).fill(undefined);
  for (const code of [...Array(32).keys(), 127]) escapes[code] = `\\x${code.toString(16).padStart(2, '0')}`;
  escapes[9] = undefined;
  escapes[10] = '\n    ';
  return escapes;
}
