/** Where mappings and listeners of a worker stand, in the form in which its parts take it. */
import type { MappingConfig } from '../config/config.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { FrontEnd } from '../http/front/front-end.ts';
import type { Dispatcher } from '../http/routing/dispatcher.ts';
import { redirectToSecure } from '../http/routing/secure-redirect.ts';
import { TlsPolicies } from '../tls/tls-policies.ts';
import type { TlsSetup } from '../tls/tls-setup.ts';
import type { WorkerListener } from './messages.ts';

export function placeOf({ host, prefix }: MappingConfig): { host: string | undefined; prefix: string } {
  return { host, prefix: toBytes(prefix) };
}

/** The byte string of a text in UTF-8: paths of requests and names of files are bytes. */
export function toBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** Of one listener. */
export function policiesOf(tls: TlsSetup | undefined, listener: number): TlsPolicies | undefined {
  return tls === undefined ? undefined : new TlsPolicies(tls, listener);
}

/** New handshakes of all front ends, which stand in the order of their listeners, go by this. */
export function changePolicies(
  frontEnds: readonly FrontEnd[],
  listeners: readonly WorkerListener[],
  tls: TlsSetup,
): void {
  for (const [i, { scheme }] of listeners.entries())
    if (scheme === 'https') frontEnds[i]?.setTls(new TlsPolicies(tls, i));
}

/** What an ACME server is answered over HTTP, by the token that it asks for. */
export function httpChallenges({ challenges = [] }: TlsSetup): ReadonlyMap<string, string> {
  const answers = challenges.flatMap((answer) => (answer.type === 'http-01' ? [answer] : []));
  return new Map(answers.map(({ token, content }) => [token, content]));
}

/** What becomes of the requests of a listener; `redirectPort`: its clients are led there, undefined = they are served. */
export function handlerOf(
  dispatcher: Dispatcher,
  redirectPort: number | undefined,
): (exchange: Exchange) => void {
  const serve = (exchange: Exchange): void => dispatcher.dispatch(exchange);
  return redirectPort === undefined ? serve : (exchange) => redirectToSecure(exchange, redirectPort, serve);
}
