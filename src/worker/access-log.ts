/** Writes one log line for each exchange that has ended: the client, the request and the result, without any field of the messages. */
import { formatLine } from '../base/logger.ts';
import { nextRequestNumber, requestIdOf } from '../base/request-id.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { ExchangeObserver } from '../http/exchange/exchange-wire.ts';

/** A longer target is cut in the log (characters); it has been served in full. */
const TARGET_LENGTH_MAX = 2048;
/** The same for a host with its port: no name in the DNS is longer. */
const HOST_LENGTH_MAX = 260;

/**
 * Returns an observer that gives its lines to `writeLine`; `source` is the word behind the level. `namesHosts`: lines name the
 * host that was asked for, because it decides with the target what answers.
 */
export function createAccessLog(
  source: string,
  workerId: number,
  writeLine: (line: string) => void,
  namesHosts: () => boolean,
): ExchangeObserver {
  return (exchange, startedAt) => {
    // whatever no script or module has answered has an id all the same
    exchange.answeredBy ??= { requestId: requestIdOf(workerId, nextRequestNumber()) };
    const durationMs = startedAt === undefined ? undefined : performance.now() - startedAt;
    writeLine(formatAccess(new Date(), source, exchange, durationMs, namesHosts()));
  };
}

/**
 * `… info worker-1 access GET /app?x=1 peer=192.0.2.7 protocol=HTTP/2 status=200 bytes=512 ms=1.250`; without `ms` where the
 * duration is not known. With `namesHost`, `host=a.test:8443` stands before the protocol, as the client sent it; not where a client
 * of HTTP/1.0 sent none.
 */
export function formatAccess(
  time: Date,
  source: string,
  exchange: Exchange,
  durationMs: number | undefined,
  namesHost = false,
): string {
  const { method, target, connection } = exchange;
  return formatLine(time, 'info', source, `access ${escapeWord(method)} ${escapeWord(target)}`, {
    peer: connection.peerAddress,
    host:
      namesHost && exchange.authority !== '' ? escapeWord(exchange.authority, HOST_LENGTH_MAX) : undefined,
    protocol: exchange.protocol,
    // 0: the client had gone before the exchange had a status
    status: exchange.status,
    bytes: exchange.bytesWritten,
    ms: durationMs?.toFixed(3),
    pushed: exchange.pushed ? true : undefined,
    upstream: exchange.upstream,
    id: exchange.answeredBy?.requestId,
    error: exchange.error?.code,
  });
}

/** Makes one word of a text of the client: spaces, quotes, control characters and those beyond ASCII become `\xHH`. */
function escapeWord(text: string, lengthMax = TARGET_LENGTH_MAX): string {
  const shown = text.length > lengthMax ? `${text.slice(0, lengthMax)}…` : text;
  return shown.replace(/[^\x21\x23-\x5b\x5d-\x7e\u2026]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
