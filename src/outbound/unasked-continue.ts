/**
 * Lets HTTP/1.1 upstreams send `100 Continue` that nobody asked for, which RFC 9110 §15.2 says to ignore. undici closes such a
 * connection, but passes over other informational heads; so its parser is told that a 100 is one of those.
 */
import type Agent from 'undici/lib/dispatcher/agent.js';

const CONTINUE = 100;
/** 102 (Processing) has no body and, as 100, no meaning for the reader of the response. */
const PASSED_OVER = 102;

/** Where undici keeps what its clients and sockets have. */
export interface ClientSymbols {
  readonly kSocket: symbol;
  readonly kParser: symbol;
}

/** What is used of its parser of responses; over HTTP/2 there is none. */
interface Parser {
  onHeadersComplete(status: number, upgrade: boolean, keepsAlive: boolean): number;
}

/** All connections of the agent pass over 100. */
export function passOverContinue(agent: Agent, { kSocket, kParser }: ClientSymbols): void {
  // told before the first request is written
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
