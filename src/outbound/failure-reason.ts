/** Says what the errors of Node, OpenSSL and undici mean, for whoever has connected to another server. */
import type { LuaCode } from '../base/error-codes.ts';
import { messageOf, systemCodeOf } from '../base/errors.ts';

/** The name of undici's assertions: its parser does not check that a status is at least 100. */
const ASSERTION = 'ERR_ASSERTION';
/** Codes of Node, OpenSSL and undici that mean something else than `io`. */
const REASONS: ReadonlyMap<string, LuaCode> = new Map([
  ['ECONNREFUSED', 'refused'],
  ['EHOSTUNREACH', 'refused'],
  ['ENETUNREACH', 'refused'],
  ['EADDRNOTAVAIL', 'refused'],
  // of unix sockets
  ['ENOENT', 'notfound'],
  ['EACCES', 'denied'],
  ['ENOTFOUND', 'notfound'],
  ['EAI_AGAIN', 'notfound'],
  ['ETIMEDOUT', 'timeout'],
  ['UND_ERR_CONNECT_TIMEOUT', 'timeout'],
  ['ECONNRESET', 'closed'],
  ['EPIPE', 'closed'],
  ['UND_ERR_SOCKET', 'closed'],
  ['UND_ERR_INFO', 'closed'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'closed'],
  ['UND_ERR_CLOSED', 'closed'],
  ['UND_ERR_DESTROYED', 'closed'],
  ['ERR_HTTP2_STREAM_ERROR', 'closed'],
  ['ERR_HTTP2_SESSION_ERROR', 'closed'],
  ['ERR_HTTP2_GOAWAY_SESSION', 'closed'],
  ['ERR_HTTP2_STREAM_CANCEL', 'closed'],
  ['ERR_HTTP2_INVALID_SESSION', 'closed'],
  ['UND_ERR_HEADERS_OVERFLOW', 'limit'],
  ['UND_ERR_MAX_ORIGINS_REACHED', 'limit'],
  ['UND_ERR_INVALID_ARG', 'invalid'],
  ['UND_ERR_NOT_SUPPORTED', 'invalid'],
  ['UND_ERR_REQ_CONTENT_LENGTH_MISMATCH', 'invalid'],
  ['EPROTO', 'denied'],
  [ASSERTION, 'invalid'],
]);
/** Codes of failed certificate checks and TLS handshakes. */
const TLS_CODES =
  /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|DEPTH_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_|INVALID_(?:CA|PURPOSE))/;

/** The word that a script gets for it. */
export function reasonOf(thrown: unknown): LuaCode {
  const code = systemCodeOf(thrown);
  // errors of undici's parser have no code
  if (thrown instanceof Error && thrown.name === 'HTTPParserError') return 'invalid';
  if (code === undefined) return 'io';
  const reason = REASONS.get(code);
  if (reason !== undefined) return reason;
  // a certificate or key of the script's own
  if (code.startsWith('ERR_OSSL_PEM')) return 'invalid';
  if (TLS_CODES.test(code)) return 'denied';
  return 'io';
}

/** What happened, for a message. */
export function describeFailure(thrown: unknown): string {
  const code = systemCodeOf(thrown);
  if (code === ASSERTION) return 'the response does not match the HTTP protocol';
  // where several addresses were tried, each has an error with a code, and the whole has no code
  const first = thrown instanceof AggregateError && thrown.message === '' ? thrown.errors[0] : thrown;
  const text = messageOf(first).trim();
  return text === '' ? (code ?? 'unknown error') : text;
}
