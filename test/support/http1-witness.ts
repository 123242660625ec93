/** A front end that records what it made of the bytes of each HTTP/1 connection, one line of text for each request. */
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import type { FrontEndLimits } from '../../src/http/front/front-end.ts';
import type { Fields } from '../../src/http/semantics/fields.ts';
import { readBody, startFrontEnd, type TestFrontEnd } from './test-front-end.ts';

/** Everything that a handler can see of an HTTP/1 request. */
export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly authority: string;
  readonly fields: Fields;
  /** The body as a byte string. */
  readonly body: string;
}

/** Returns text such as `POST /x HTTP/1.1 for a {Host: a | Content-Length: 2} "hi"`. */
export function describeRequest({ method, target, version, authority, fields, body }: SeenRequest): string {
  const pairs: string[] = [];
  for (let i = 0; i < fields.length; i += 2) pairs.push(`${fields[i]}: ${fields[i + 1]}`);
  return `${method} ${target} ${version} for ${authority} {${pairs.join(' | ')}} ${JSON.stringify(body)}`;
}

/** What the handlers of one connection have seen. */
export interface Testimony {
  /** Requests whose bodies have ended correctly; each got 204. */
  readonly whole: SeenRequest[];
  /** Targets of all requests that reached a handler. */
  readonly begun: string[];
}

export interface Http1Witness {
  readonly front: TestFrontEnd;
  readonly isSecure: boolean;
  /** Removes and returns the record of the connection from this port of the client. */
  take(clientPort: number): Testimony;
}

/** No timeouts: a connection that gets its bytes one by one on a busy machine may take any time. */
const PATIENT: Partial<FrontEndLimits> = {
  idleTimeoutMs: 600_000,
  handshakeTimeoutMs: 600_000,
  headTimeoutMs: 600_000,
  stallTimeoutMs: 600_000,
};

export async function startHttp1Witness(
  isSecure: boolean,
  limits: Partial<FrontEndLimits>,
): Promise<Http1Witness> {
  const testimonies = new Map<number, Testimony>();
  const handle = (exchange: Exchange): void => {
    const { method, target, protocol, authority, fields, connection } = exchange;
    let testimony = testimonies.get(connection.peerPort);
    if (testimony === undefined) {
      testimony = { whole: [], begun: [] };
      testimonies.set(connection.peerPort, testimony);
    }
    const { whole, begun } = testimony;
    begun.push(target);
    readBody(exchange, (body) => {
      if (body === undefined) return;
      whole.push({ method, target, version: protocol, authority, fields, body: body.toString('latin1') });
      // has no content, whatever the method, so that the next answer begins right after the head
      exchange.head(204, []);
      exchange.end();
    });
  };
  const front = await startFrontEnd({}, { cleartext: !isSecure, limits: { ...PATIENT, ...limits }, handle });
  return {
    front,
    isSecure,
    take(clientPort) {
      const testimony = testimonies.get(clientPort);
      testimonies.delete(clientPort);
      return testimony ?? { whole: [], begun: [] };
    },
  };
}
