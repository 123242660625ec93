/** Reads the field section of a request and refuses what RFC 9113 §8 calls malformed. */

import { isAuthority, isSameAuthority } from '../../base/authority.ts';
import type { ClientRequest } from '../exchange/request-head.ts';
import { parseContentLength } from '../semantics/fields.ts';
import { ENTRY_OVERHEAD_BYTES } from './dynamic-table.ts';
import { fieldFault, KIND } from './field-kind.ts';
import type { FieldSection } from './hpack-decoder.ts';

/** A well-formed request head; requests with the same section share one object. */
export interface ParsedHead extends ClientRequest {
  /** As the client has given it; undefined for a CONNECT that has none. */
  readonly scheme: string | undefined;
  /** The lower-case value of `expect`; undefined when the request has none. */
  readonly expect: string | undefined;
  /** The value of `priority`; undefined when the request has none. */
  readonly priority: string | undefined;
  /** The size of the section as RFC 9113 §6.5.2 counts it. */
  readonly bytes: number;
}

/** The part of a section that the parser reads. */
type KnownFields = Pick<FieldSection, 'fields' | 'kinds'>;

/** Parses a section. A string says what is wrong with the section. */
export function parseRequestHead(section: KnownFields): ParsedHead | string {
  const { fields: list, kinds } = section;
  let pseudoCount = 0;
  let bytes = 0;
  let method: string | undefined;
  let scheme: string | undefined;
  let authority: string | undefined;
  let path: string | undefined;
  let protocol: string | undefined;
  let host: string | undefined;
  let declaredLength: number | undefined;
  let expect: string | undefined;
  let priority: string | undefined;
  for (let i = 0; i < kinds.length; i++) {
    const kind = kinds[i] as number;
    const name = list[2 * i] as string;
    const value = list[2 * i + 1] as string;
    bytes += name.length + value.length + ENTRY_OVERHEAD_BYTES;
    if (kind >= KIND.method) {
      if (pseudoCount < i && name.charCodeAt(0) === COLON) return 'a pseudo-header field follows a field';
      if (kind === KIND.malformed) return fieldFault(name, value) as string;
      pseudoCount += 1;
    }
    switch (kind) {
      case KIND.method:
        if (method !== undefined) return ':method is given twice';
        method = value;
        break;
      case KIND.scheme:
        if (scheme !== undefined) return ':scheme is given twice';
        scheme = value;
        break;
      case KIND.authority:
        if (authority !== undefined) return ':authority is given twice';
        authority = value;
        break;
      case KIND.path:
        if (path !== undefined) return ':path is given twice';
        path = value;
        break;
      case KIND.protocol:
        if (protocol !== undefined) return ':protocol is given twice';
        protocol = value;
        break;
      case KIND.host:
        if (host !== undefined) return 'host is given twice';
        host = value;
        break;
      case KIND.contentLength:
        if (declaredLength !== undefined) return 'content-length is given twice';
        declaredLength = parseContentLength(value);
        if (declaredLength === undefined) return 'content-length is not a length';
        break;
      case KIND.expect:
        expect = value.toLowerCase();
        break;
      case KIND.priority:
        priority = priority === undefined ? value : `${priority},${value}`;
        break;
    }
  }
  const pseudo = { method, scheme, authority, path };
  const isConnect = method === 'CONNECT';
  if (protocol !== undefined && !isConnect) return ':protocol is only for CONNECT';
  const malformed = isConnect && protocol === undefined ? checkConnect(pseudo) : checkPseudo(pseudo, host);
  if (malformed !== undefined) return malformed;
  return {
    // what HTTP/1.1 asks for by GET and Upgrade: handlers see one request, whatever version it comes over
    method: protocol === undefined ? (method as string) : 'GET',
    connectProtocol: protocol,
    target: path ?? '',
    authority: authority ?? host ?? '',
    fields: list.slice(2 * pseudoCount),
    declaredLength,
    scheme,
    expect,
    priority,
    bytes,
  };
}

/** Says what is wrong with a trailer section; undefined: nothing. */
export function checkTrailers(section: KnownFields): string | undefined {
  const { fields, kinds } = section;
  for (let i = 0; i < kinds.length; i++) {
    if ((kinds[i] as number) < KIND.method) continue;
    const name = fields[2 * i] as string;
    if (name.charCodeAt(0) === COLON) return 'a trailer section has a pseudo-header field';
    return fieldFault(name, fields[2 * i + 1] as string);
  }
  return undefined;
}

interface Pseudo {
  readonly method: string | undefined;
  readonly scheme: string | undefined;
  readonly authority: string | undefined;
  readonly path: string | undefined;
}

const COLON = 58;

/** RFC 9113 §8.3.1, and RFC 8441 §4 for a CONNECT with `:protocol`. */
function checkPseudo(pseudo: Pseudo, host: string | undefined): string | undefined {
  const { method, scheme, authority, path } = pseudo;
  if (method === undefined) return ':method is missing';
  if (scheme === undefined) return ':scheme is missing';
  if (path === undefined) return ':path is missing';
  if (path === '*' && method !== 'OPTIONS') return ':path is not a path';
  if (host === undefined) return authority === undefined ? ':authority and host are missing' : undefined;
  if (host === authority) return undefined;
  if (!isAuthority(host)) return 'host is not a host with an optional port';
  if (authority !== undefined && !isSameAuthority(authority, host, scheme))
    return ':authority and host differ';
  return undefined;
}

/** RFC 9113 §8.5. */
function checkConnect(pseudo: Pseudo): string | undefined {
  if (pseudo.scheme !== undefined || pseudo.path !== undefined) return 'CONNECT has a :scheme or a :path';
  if (pseudo.authority === undefined) return 'CONNECT has no :authority';
  return undefined;
}
