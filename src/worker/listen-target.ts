/** What a front end listens on, of the source that a listener has made for it. */
import type { ListenTarget } from '../http/front/front-end.ts';
import type { ListenSource } from './messages.ts';

export function listenTarget(source: ListenSource): ListenTarget {
  if (source.kind === 'descriptor') return { fd: source.descriptor };
  return { port: source.port, host: source.address, reusePort: source.reusePort };
}
