/** How requests are passed on: what a mapping or a call of `httpd.proxy` says. */
import type { BlockList } from 'node:net';
import type { Fields } from '../http/semantics/fields.ts';
import type { UpstreamTls } from './http1-upstream.ts';
import {
  CONNECT_TIMEOUT_MS,
  HEAD_TIMEOUT_MS,
  IDLE_TIMEOUT_MS,
  RETRIES_DEFAULT,
  TUNNEL_TIMEOUT_MS,
} from './proxy-limits.ts';

export interface ProxyTimeouts {
  readonly connectMs: number;
  /** From the last byte sent to the head of the answer. */
  readonly headMs: number;
  /** Silence within a body. */
  readonly idleMs: number;
  readonly tunnelMs: number;
}

/** Which fields tell the upstream of the client: X-Forwarded-For, -Proto and -Host; Forwarded (RFC 7239); both; none. */
export type ForwardedForm = (typeof FORWARDED_FORMS)[number];
export const FORWARDED_FORMS = ['x', 'rfc7239', 'both', false] as const;

/** Fields that are never given: they frame the message, speak of one connection, or have an option of their own. */
const RESERVED_FIELDS: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'http2-settings',
]);

/** True for a field that may be set or left out. */
export function isSettableField(name: string): boolean {
  return !RESERVED_FIELDS.has(name.toLowerCase());
}

export interface ProxySettings {
  readonly timeouts: ProxyTimeouts;
  /** Fields of the request that are set (name and value in turn), and those that are left out, by lower-case names; what is set is left out, too. */
  readonly setFields: Fields;
  readonly removedFields: ReadonlySet<string>;
  /** The value of Host; true = the client's, false = that of the target. */
  readonly host: string | boolean;
  /** Further servers that are tried. */
  readonly retries: number;
  readonly forwarded: ForwardedForm;
  /** Clients whose own fields of that kind are believed. */
  readonly trusted: BlockList | undefined;
  /** The target of the request, in the place of the client's; undefined = the client's. */
  readonly path: string | undefined;
  readonly tls: UpstreamTls;
}

export const DEFAULT_TLS: UpstreamTls = { verify: true, ca: undefined, name: undefined };

export const DEFAULT_PROXY_SETTINGS: ProxySettings = {
  timeouts: {
    connectMs: CONNECT_TIMEOUT_MS,
    headMs: HEAD_TIMEOUT_MS,
    idleMs: IDLE_TIMEOUT_MS,
    tunnelMs: TUNNEL_TIMEOUT_MS,
  },
  setFields: [],
  removedFields: new Set(),
  host: true,
  retries: RETRIES_DEFAULT,
  forwarded: 'x',
  trusted: undefined,
  path: undefined,
  tls: DEFAULT_TLS,
};
