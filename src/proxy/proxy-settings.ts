/** How requests are passed on, made ready for the single request. */
import type { BlockList } from 'node:net';
import { parseAddressList } from '../base/address-list.ts';
import { assert } from '../base/assert.ts';
import type { Fields } from '../http/semantics/fields.ts';
import type { ForwardedForm, ProxyRules, ProxyTimeouts, UpstreamTls } from '../mapping/proxy-settings.ts';

export interface ProxySettings {
  readonly timeouts: ProxyTimeouts;
  /** From the first try to the head of the answer, as long as nothing of a body has left. */
  readonly totalMs: number;
  readonly setFields: Fields;
  readonly removedFields: ReadonlySet<string>;
  readonly host: string | boolean;
  readonly retries: number;
  readonly forwarded: ForwardedForm;
  /** Clients whose own fields are believed; undefined = none. */
  readonly trusted: BlockList | undefined;
  /** The target of the request, in the place of the client's; undefined = the client's. */
  readonly path: string | undefined;
  readonly tls: UpstreamTls;
}

/** Whoever gives the rules has checked them. */
export function proxySettings(rules: ProxyRules, path?: string): ProxySettings {
  const trusted = rules.trusted.length === 0 ? undefined : parseAddressList(rules.trusted);
  assert(rules.trusted.length === 0 || trusted !== undefined, 'the trusted addresses have been checked');
  const { connectMs, headMs, totalMs = connectMs + headMs } = rules.timeouts;
  return { ...rules, totalMs, removedFields: new Set(rules.removedFields), trusted, path };
}
