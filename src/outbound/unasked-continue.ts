/**
 * Lets HTTP/1.1 upstreams send `100 Continue` that no request asked for, which RFC 9110 §15.2 says to ignore. undici closes such a
 * connection, but ignores other informational heads. So its parser gets 102 in the place of 100.
 */
import type Agent from 'undici/lib/dispatcher/agent.js';

const CONTINUE = 100;
/** 102 (Processing) has no body and, as 100, no meaning for the reader of the response. */
const PASSED_OVER = 102;

/** The symbols under which undici keeps the parts of its clients and sockets. */
export interface ClientSymbols {
  readonly kSocket: symbol;
  readonly kParser: symbol;
}

/** The part of undici's parser of responses that is used; a connection of HTTP/2 has no parser. */
interface Parser {
  onHeadersComplete(status: number, upgrade: boolean, keepsAlive: boolean): number;
}

/** Makes all connections of the agent ignore 100. */
export function passOverContinue(agent: Agent, { kSocket, kParser }: ClientSymbols): void {
  // undici calls this before it writes the first request
  agent.on('connect', (_origin, targets) => {
    const client = targets.at(-1) as Readonly<Record<symbol, unknown>> | undefined;
    const socket = client?.[kSocket] as Readonly<Record<symbol, unknown>> | undefined;
    const parser = socket?.[kParser] as Parser | null | undefined;
    if (parser === undefined || parser === null) return;
    const native = parser.onHeadersComplete;
    parser.onHeadersComplete = function onHeadersComplete(status, upgrade, keepsAlive) {
      return native.call(this, status === CONTINUE ? PASSED_OVER : status, upgrade, keepsAlive);
    };
  });
}
