/** Reads a request's field section and refuses what RFC 9113 §8 calls malformed. */
import type { Fields } from '../exchange.ts';
import { parseContentLength } from '../fields.ts';

/** A request head that is well-formed; one object may serve many requests that say the same. */
export interface ParsedHead {
  readonly method: string;
  /** `:path`; empty for CONNECT. */
  readonly target: string;
  readonly authority: string;
  /** Without pseudo-header fields. */
  readonly fields: Fields;
  readonly declaredLength: number | undefined;
  /** The lower-case value of `expect`; undefined when there is none. */
  readonly expect: string | undefined;
  /** The value of `priority`; undefined when there is none. */
  readonly priority: string | undefined;
  /** Bytes of all names and values. */
  readonly bytes: number;
}

/** Parses a flat list of names and values. A string says what is wrong with it. */
export function parseRequestHead(list: Fields): ParsedHead | string {
  const pseudo: Pseudo = { method: undefined, scheme: undefined, authority: undefined, path: undefined };
  let at = 0;
  for (; at < list.length && (list[at] as string).charCodeAt(0) === COLON; at += 2) {
    const wrong = takePseudo(pseudo, list[at] as string, list[at + 1] as string);
    if (wrong !== undefined) return wrong;
  }
  const fields = list.slice(at);
  const wrong = checkRequestFields(fields);
  if (wrong !== undefined) return wrong;
  let host: string | undefined;
  let length: string | undefined;
  let expect: string | undefined;
  let priority: string | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    const value = fields[i + 1] as string;
    switch (fields[i]) {
      case 'host':
        if (host !== undefined) return 'host is given twice';
        host = value;
        break;
      case 'content-length':
        if (length !== undefined) return 'content-length is given twice';
        if (parseContentLength(value) === undefined) return 'content-length is not a length';
        length = value;
        break;
      case 'expect':
        expect = value.toLowerCase();
        break;
      case 'priority':
        priority = priority === undefined ? value : `${priority},${value}`;
        break;
    }
  }
  const malformed = pseudo.method === 'CONNECT' ? checkConnect(pseudo) : checkPseudo(pseudo, host);
  if (malformed !== undefined) return malformed;
  let bytes = 0;
  for (let i = 0; i < list.length; i++) bytes += (list[i] as string).length;
  return {
    method: pseudo.method as string,
    target: pseudo.path ?? '',
    authority: pseudo.authority ?? host ?? '',
    fields,
    declaredLength: length === undefined ? undefined : parseContentLength(length),
    expect,
    priority,
    bytes,
  };
}

/** Says what is wrong with a trailer section, or nothing. */
export function checkTrailers(list: Fields): string | undefined {
  for (let i = 0; i < list.length; i += 2) {
    if ((list[i] as string).charCodeAt(0) === COLON) return 'a trailer section has a pseudo-header field';
  }
  return checkRequestFields(list);
}

interface Pseudo {
  method: string | undefined;
  scheme: string | undefined;
  authority: string | undefined;
  path: string | undefined;
}

const COLON = 58;

function takePseudo(pseudo: Pseudo, name: string, value: string): string | undefined {
  switch (name) {
    case ':method':
      if (pseudo.method !== undefined) return ':method is given twice';
      if (!METHOD.test(value)) return ':method is not a token';
      pseudo.method = value;
      return undefined;
    case ':scheme':
      if (pseudo.scheme !== undefined) return ':scheme is given twice';
      if (!SCHEME.test(value)) return ':scheme is not a scheme';
      pseudo.scheme = value;
      return undefined;
    case ':authority':
      if (pseudo.authority !== undefined) return ':authority is given twice';
      if (!AUTHORITY.test(value)) return ':authority is not a host with an optional port';
      pseudo.authority = value;
      return undefined;
    case ':path':
      if (pseudo.path !== undefined) return ':path is given twice';
      pseudo.path = value;
      return undefined;
    default:
      return 'a pseudo-header field is unknown';
  }
}

/** RFC 9113 §8.3.1. */
function checkPseudo(pseudo: Pseudo, host: string | undefined): string | undefined {
  const { method, scheme, authority, path } = pseudo;
  if (method === undefined) return ':method is missing';
  if (scheme === undefined) return ':scheme is missing';
  if (path === undefined) return ':path is missing';
  if (path === '*' ? method !== 'OPTIONS' : !PATH.test(path)) return ':path is not a path';
  if (authority === undefined && host === undefined) return ':authority and host are missing';
  if (host !== undefined) {
    if (!AUTHORITY.test(host)) return 'host is not a host with an optional port';
    if (authority !== undefined && authority !== host && authority.toLowerCase() !== host.toLowerCase())
      return ':authority and host differ';
  }
  return undefined;
}

/** RFC 9113 §8.5. */
function checkConnect(pseudo: Pseudo): string | undefined {
  if (pseudo.scheme !== undefined || pseudo.path !== undefined) return 'CONNECT has a :scheme or a :path';
  if (pseudo.authority === undefined) return 'CONNECT has no :authority';
  return undefined;
}

/** Names and values (RFC 9113 §8.2.1), and fields that speak about one connection (§8.2.2). */
function checkRequestFields(fields: Fields): string | undefined {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (!NAME.test(name)) {
      return name.charCodeAt(0) === COLON
        ? 'a pseudo-header field follows a field'
        : 'a field name is not a lower-case token';
    }
    if (!VALUE.test(value)) return `the value of ${name} has a character that is not allowed`;
    switch (name) {
      case 'connection':
      case 'keep-alive':
      case 'proxy-connection':
      case 'transfer-encoding':
      case 'upgrade':
        return `${name} speaks about one connection`;
      case 'te':
        if (value !== 'trailers') return 'te is not trailers';
        break;
    }
  }
  return undefined;
}

const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+\-.]*$/;
// uri-host and port without userinfo, as HTTP/1 takes them too
const AUTHORITY = /^[A-Za-z0-9\-._~%!$&'()*+,;=:[\]]+$/;
const PATH = /^\/[\x21-\x7e\x80-\xff]*$/;
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// visible characters, with blanks inside only (RFC 9110 §5.5)
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;
