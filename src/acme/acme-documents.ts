/** Reads the JSON documents of an ACME server (RFC 8555 §7.1), whose every member may be missing or of another type. */
import { GatewayError } from '../base/errors.ts';

export interface Directory {
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newOrder: string;
  /** RFC 9773; undefined where the server has none. */
  readonly renewalInfo: string | undefined;
  readonly needsExternalAccount: boolean;
}

export interface Order {
  readonly status: string;
  readonly authorizations: readonly string[];
  readonly finalize: string;
  /** Undefined before the certificate is made. */
  readonly certificate: string | undefined;
  readonly error: unknown;
}

export interface OfferedChallenge {
  readonly type: string;
  readonly url: string;
  readonly token: string;
  readonly error: unknown;
}

export interface Authorization {
  readonly status: string;
  readonly name: string;
  readonly challenges: readonly OfferedChallenge[];
}

/** A list of a server that is longer than this is none that we read. */
const ENTRIES_MAX = 1000;
/** RFC 8555 §8.3: base64url, at least 128 bits. */
const TOKEN = /^[A-Za-z0-9_-]{1,512}$/;

export function readDirectory(document: unknown): Directory {
  const members = asObject(document, 'directory');
  const meta = members['meta'] === undefined ? {} : asObject(members['meta'], 'directory');
  return {
    newNonce: readText(members, 'newNonce', 'directory'),
    newAccount: readText(members, 'newAccount', 'directory'),
    newOrder: readText(members, 'newOrder', 'directory'),
    renewalInfo: typeof members['renewalInfo'] === 'string' ? members['renewalInfo'] : undefined,
    needsExternalAccount: meta['externalAccountRequired'] === true,
  };
}

export function readOrder(document: unknown): Order {
  const members = asObject(document, 'order');
  return {
    status: readText(members, 'status', 'order'),
    authorizations: readList(members, 'authorizations', 'order').map((url) => asText(url, 'order')),
    finalize: readText(members, 'finalize', 'order'),
    certificate: typeof members['certificate'] === 'string' ? members['certificate'] : undefined,
    error: members['error'],
  };
}

export function readAuthorization(document: unknown): Authorization {
  const members = asObject(document, 'authorization');
  const identifier = asObject(members['identifier'], 'authorization');
  return {
    status: readText(members, 'status', 'authorization'),
    name: readText(identifier, 'value', 'authorization'),
    challenges: readList(members, 'challenges', 'authorization').flatMap(readChallenge),
  };
}

/** Challenges of kinds that we do not know may have no token. */
function readChallenge(document: unknown): OfferedChallenge[] {
  const members = asObject(document, 'challenge');
  const { token } = members;
  if (typeof token !== 'string' || !TOKEN.test(token)) return [];
  const type = readText(members, 'type', 'challenge');
  return [{ type, url: readText(members, 'url', 'challenge'), token, error: members['error'] }];
}

export function asObject(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, unknown>>;
  throw malformed(what);
}

function readText(members: Readonly<Record<string, unknown>>, name: string, what: string): string {
  return asText(members[name], `${what} without "${name}"`);
}

function asText(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  throw malformed(what);
}

function readList(members: Readonly<Record<string, unknown>>, name: string, what: string): unknown[] {
  const list = members[name];
  if (Array.isArray(list) && list.length <= ENTRIES_MAX) return list;
  throw malformed(`${what} without "${name}"`);
}

function malformed(what: string): GatewayError {
  return new GatewayError('LGW_ACME', `The ACME server sent what is no ${what} of RFC 8555`);
}
