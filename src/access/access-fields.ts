/** The table of the fields that a line of the access log may have: where each value comes from, and what kind of value it is. */

import type { Exchange } from '../http/exchange/exchange.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import { type AccessFieldName, REQUEST_FIELD } from '../settings/log-settings.ts';

/** What is known when an exchange is over. One object is used for all lines. */
export interface AccessFacts {
  exchange: Exchange;
  /** `performance.now()`; undefined for an exchange that began before there was an access log. */
  startedAt: number | undefined;
  endedAt: number;
  /** Milliseconds since 1970, with a fraction. */
  time: number;
}

/** A value as formats get it: undefined is left out, or `-`. */
export type AccessValue = string | number | undefined;

/**
 * With what a value is another one for the same head: never; with each line; or when this of the exchange is another one. `hosts`: when the
 * mappings are, after a reload.
 */
export type AccessChange =
  | 'never'
  | 'line'
  | 'status'
  | 'bytes'
  | 'error'
  | 'upstream'
  | 'cache'
  | 'trace'
  | 'answerer'
  | 'sending'
  | 'hosts';

export interface AccessField {
  readonly name: string;
  /** `ms` has three decimals; `flag` is there, and true, or not at all; `time` and `clf` are times of the day. */
  readonly kind: 'text' | 'number' | 'ms' | 'flag' | 'time' | 'clf';
  readonly changes: AccessChange;
  /** A longer text is cut (characters). */
  readonly lengthMax: number;
  read(facts: AccessFacts): AccessValue;
}

type Row = Omit<AccessField, 'name' | 'lengthMax'>;

/** A longer text is cut in the log; it has been served in full. */
const TEXT_LENGTH_MAX = 2048;
/** The same for a host with its port: no name in the DNS is longer. */
const HOST_LENGTH_MAX = 260;

const ofRequest = (read: (exchange: Exchange) => AccessValue): Row => ({
  kind: 'text',
  changes: 'never',
  read: ({ exchange }) => read(exchange),
});
const ofAnswer = (
  changes: AccessChange,
  kind: Row['kind'],
  read: (exchange: Exchange) => AccessValue,
): Row => ({ kind, changes, read: ({ exchange }) => read(exchange) });
const duration = (
  changes: AccessChange,
  read: (facts: AccessFacts, startedAt: number) => number | undefined,
): Row => ({
  kind: 'ms',
  changes,
  read: (facts) => (facts.startedAt === undefined ? undefined : read(facts, facts.startedAt)),
});

const ROWS: Readonly<Record<Exclude<AccessFieldName, 'worker'>, Row>> = {
  time: { kind: 'time', changes: 'line', read: ({ time }) => time },
  clf_time: { kind: 'clf', changes: 'line', read: ({ time }) => time },
  request_id: ofAnswer('line', 'text', ({ answeredBy }) => answeredBy?.requestId),
  remote: ofRequest(({ connection }) => connection.peerAddress || undefined),
  remote_port: { ...ofRequest(({ connection }) => connection.peerPort), kind: 'number' },
  scheme: ofRequest(({ scheme }) => scheme),
  protocol: ofRequest(({ protocol }) => protocol),
  method: ofRequest(({ method }) => method),
  target: ofRequest(({ target }) => target),
  path: ofRequest(({ target }) => target.replace(/\?.*$/s, '')),
  query: ofRequest(({ target }) => /\?(.*)$/s.exec(target)?.[1]),
  host: ofRequest(({ authority }) => authority || undefined),
  // 0: the client had gone before the exchange had a status
  status: ofAnswer('status', 'number', ({ status }) => status),
  bytes: ofAnswer('bytes', 'number', ({ bytesWritten }) => bytesWritten),
  duration: duration('line', ({ endedAt }, startedAt) => endedAt - startedAt),
  first_byte: duration(
    'line',
    ({ endedAt, exchange }, startedAt) => (exchange.headSentAt ?? endedAt) - startedAt,
  ),
  sending: duration('sending', ({ endedAt, exchange }) => endedAt - (exchange.headSentAt ?? endedAt)),
  waiting: ofAnswer('answerer', 'ms', ({ answeredBy }) => answeredBy?.waitedMs),
  lua_cpu: ofAnswer('answerer', 'ms', ({ answeredBy }) => answeredBy?.cpuTotalMs),
  mapping: ofAnswer('answerer', 'text', ({ answeredBy }) => answeredBy?.mappingName),
  handler: ofAnswer('answerer', 'text', ({ answeredBy }) => answeredBy?.handlerName),
  upstream: ofAnswer('upstream', 'text', ({ upstream }) => upstream),
  cache: ofAnswer('cache', 'text', ({ cacheOutcome }) => cacheOutcome),
  error: ofAnswer('error', 'text', ({ error }) => error?.code),
  pushed: { ...ofRequest(({ pushed }) => (pushed ? 'true' : undefined)), kind: 'flag' },
  tls_protocol: ofRequest(({ connection }) => connection.tlsProtocol),
  tls_cipher: ofRequest(({ connection }) => connection.tlsCipher),
  trace_id: ofAnswer('trace', 'text', ({ trace }) => trace?.traceId),
  span_id: ofAnswer('trace', 'text', ({ trace }) => trace?.spanId),
  server_name: ofRequest(({ connection }) => connection.tlsServerName),
};

/** `worker`: the number of the thread. The name is one that `isAccessField` takes. */
export function accessField(name: string, worker: number): AccessField {
  if (name === 'worker')
    return { name, kind: 'number', changes: 'never', lengthMax: TEXT_LENGTH_MAX, read: () => worker };
  if (name.startsWith(REQUEST_FIELD)) {
    const field = name.slice(REQUEST_FIELD.length);
    return { name, lengthMax: TEXT_LENGTH_MAX, ...ofRequest(({ fields }) => fieldValue(fields, field)) };
  }
  const row = ROWS[name as keyof typeof ROWS];
  const lengthMax = name === 'host' || name === 'server_name' ? HOST_LENGTH_MAX : TEXT_LENGTH_MAX;
  return { name, lengthMax, ...row };
}
