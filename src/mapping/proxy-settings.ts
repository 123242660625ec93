/** How a mapping passes requests on: what a configuration says of it, in a form that crosses threads. */
import type { OfPlace } from './mapping-name.ts';

export interface ProxyTimeouts {
  /** Time to a connection, with TLS. */
  readonly connectMs: number;
  /** From the last byte sent to the head of the answer. */
  readonly headMs: number;
  /** From the first try to the head of the answer, for all tries of a request together; undefined = `connectMs` and `headMs`. */
  readonly totalMs: number | undefined;
  /** Silence within a body. */
  readonly idleMs: number;
  /** Silence of a tunnel. */
  readonly tunnelMs: number;
}

/** Which fields tell the upstream of the client: X-Forwarded-For, -Proto and -Host; Forwarded (RFC 7239); both; none. */
export type ForwardedForm = (typeof FORWARDED_FORMS)[number];
export const FORWARDED_FORMS = ['x', 'rfc7239', 'both', false] as const;

/** How the certificate of an upstream is checked. */
export interface UpstreamTls {
  readonly verify: boolean;
  /** PEM, or the name of a file with it, which each worker reads for a mapping; undefined = the authorities that Node knows. */
  readonly ca: string | undefined;
  /** The name that the certificate has to be for, and that is asked for; undefined = the host of the target. */
  readonly servername: string | undefined;
}

/** What a request is put in a place by: the address of the client, the path, a field, or a text that the caller has given. */
export type HashKey =
  | { readonly by: 'address' | 'path' }
  | { readonly by: 'field'; readonly name: string }
  | { readonly by: 'value'; readonly value: string };

/** How one of several servers is chosen. */
export type BalanceSettings =
  | { readonly kind: 'random2' | 'least' }
  | { readonly kind: 'hash'; readonly key: HashKey };
export const BALANCE_KINDS = ['random2', 'least', 'hash'] as const;

/** How the servers of a proxy are checked. */
export interface HealthSettings {
  /** What is asked for, by GET. */
  readonly path: string;
  readonly intervalMs: number;
  /** Time to the end of the answer's head. */
  readonly timeoutMs: number;
  /** Undefined: 200 to 399. */
  readonly status: number | undefined;
  /** So many checks in a row take a server out, and so many bring it back. */
  readonly fall: number;
  readonly rise: number;
}

/** What a call of `httpd.proxy` and a mapping have in common. */
export interface ProxyRules {
  readonly timeouts: ProxyTimeouts;
  /** Fields of the request that are set, name and value in turn. */
  readonly setFields: readonly string[];
  /** Fields that are left out, in lower case; those that are set are among them. */
  readonly removedFields: readonly string[];
  /** The value of Host; true = the client's, false = that of the target. */
  readonly host: string | boolean;
  /** Further servers that are tried. */
  readonly retries: number;
  readonly forwarded: ForwardedForm;
  /** Addresses and networks whose own fields of that kind are believed. */
  readonly trusted: readonly string[];
  readonly tls: UpstreamTls;
}

/** One of the servers of a proxy, and which part of the requests it is to get beside the others. */
export interface WeightedTarget {
  /** As it is written. */
  readonly url: string;
  readonly weight: number;
}

/** A call whose answer may be kept. */
export interface CallCache {
  /** By which it can be purged, beside the tags that the server names. */
  readonly tags: readonly string[];
}

/** Those of one mapping. */
export interface ProxyMappingSettings extends ProxyRules {
  readonly place: OfPlace;
  readonly targets: readonly WeightedTarget[];
  readonly balance: BalanceSettings;
  /** Undefined: only the requests themselves show how the servers are. */
  readonly health: HealthSettings | undefined;
  /** Answers are kept where they allow it (RFC 9111), and answer further requests; default false. */
  readonly cache?: boolean;
}

const DEFAULT_TLS: UpstreamTls = { verify: true, ca: undefined, servername: undefined };

export const DEFAULT_PROXY_RULES: ProxyRules = {
  timeouts: { connectMs: 5000, headMs: 30_000, totalMs: undefined, idleMs: 30_000, tunnelMs: 3_600_000 },
  setFields: [],
  removedFields: [],
  host: true,
  retries: 1,
  forwarded: 'x',
  trusted: [],
  tls: DEFAULT_TLS,
};

export const DEFAULT_BALANCE_SETTINGS: BalanceSettings = { kind: 'random2' };

export const DEFAULT_HEALTH: HealthSettings = {
  path: '/',
  intervalMs: 5000,
  timeoutMs: 2000,
  status: undefined,
  fall: 3,
  rise: 2,
};

/** Targets of one proxy: a machine for each of some hundred processes has more than one gateway before it. */
export const TARGETS_MAX = 64;
/** A server a hundred times as strong as another one is rare. */
export const WEIGHT_MAX = 100;
/** Addresses and networks that are trusted: proxies before this one. */
export const TRUSTED_MAX = 256;
/** Tries beyond the first. */
export const RETRIES_MAX = 8;

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

/**
 * Fields of one proxy that are set, and those that are replaced or left out: as many as a head may have (FIELDS_MAX of
 * http/semantics/fields.ts, which `--help` does not evaluate).
 */
export const SET_FIELDS_MAX = 1000;

/** True for a field that may be set or left out. */
export function isSettableField(name: string): boolean {
  return !RESERVED_FIELDS.has(name.toLowerCase());
}

/** A text that is meant as targets, right or wrong: no name of a script or a folder. */
export function isTargetText(text: string): boolean {
  return /^(?:(?:https?|h1|h2c?):\/\/|unix:)/i.test(text);
}

/** `http://a:1*3,http://b:2`: several, separated by commas, each perhaps with a weight. */
export function splitTargets(text: string): readonly WeightedTarget[] {
  return text.split(',').map((one) => {
    const [, url = one.trim(), weight = '1'] = /^(.+)\*(\d{1,9})$/.exec(one.trim()) ?? [];
    return { url, weight: Number(weight) };
  });
}
