/** Compares what two servers did with the bytes of one HTTP/1 connection. A rule here has to explain each difference. */
import { METHODS } from 'node:http';
import type { OracleOutcome } from './http1-oracle.ts';
import type { ProbeOutcome } from './http1-probe.ts';
import { describeRequest, type SeenRequest } from './http1-witness.ts';

/** One result of the bytes, in order: a served request, a refusal, or the end of the connection. */
interface Event {
  readonly request?: SeenRequest;
  /** A status of our front end, or a code of llhttp. */
  readonly refusal?: string;
}

export interface Difference {
  readonly own: Event;
  readonly node: Event;
  /** The bytes after the earlier requests, as far as their ends are known. */
  readonly text: string;
  /** The bytes before `text`. */
  readonly passed: string;
  /** The last request that both servers have served. */
  readonly before: SeenRequest | undefined;
}

interface Rule {
  readonly name: string;
  explains(difference: Difference): boolean;
}

/** Returns the values of a field, in order. */
function valuesOf({ fields }: SeenRequest, lowerName: string): string[] {
  const names = fields.filter((_, i) => i % 2 === 0);
  const values = fields.filter((_, i) => i % 2 === 1);
  return values.filter((_, i) => names[i]?.toLowerCase() === lowerName);
}

/** Returns the request line, or the first line that stands in its place. */
const lineOf = (text: string): string => /^[\r\n]*([^\r\n]*)/.exec(text)?.[1] ?? '';
const methodOf = (text: string): string => /^[^ ]*/.exec(lineOf(text))?.[0] ?? '';
const headOf = (text: string): string => text.split('\r\n\r\n', 1)[0] ?? '';

const behindHead = (text: string): string => text.slice(headOf(text).length);

/** Our front end refuses with this status what llhttp serves. */
function stricter(
  name: string,
  status: number,
  explains: (request: SeenRequest, text: string) => boolean,
): Rule {
  return {
    name,
    explains: ({ own, node, text }) =>
      own.refusal === String(status) && node.request !== undefined && explains(node.request, text),
  };
}

/** Our front end answers with a status more exact than llhttp's 400, or refuses what llhttp serves. */
function named(name: string, status: number, explains: (text: string) => boolean): Rule {
  return {
    name,
    explains: ({ own, node, text }) =>
      own.refusal === String(status) &&
      (node.refusal !== undefined || node.request !== undefined) &&
      explains(text),
  };
}

/** Our front end serves what llhttp refuses, or what makes llhttp end the connection. An RFC has to give the reason. */
function looser(
  name: string,
  fault: string | undefined,
  explains: (request: SeenRequest, difference: Difference) => boolean,
): Rule {
  return {
    name,
    explains: (difference) =>
      difference.own.request !== undefined &&
      difference.node.request === undefined &&
      difference.node.refusal === fault &&
      explains(difference.own.request, difference),
  };
}

const isEnd = ({ request, refusal }: Event): boolean => request === undefined && refusal === undefined;
const HOST =
  /^(?:\[[0-9a-f:.]+\]|\[v[0-9a-f]+\.[\w.~!$&'()*+,;=:-]+\]|(?:[\w.~!$&'()*+,;=-]|%[0-9a-f]{2})+)(?::\d{0,5})?$/i;
const ABSOLUTE = /^https?:\/\/([^/?#]*)/i;
const isUpgrade = (request: SeenRequest | undefined): boolean =>
  request !== undefined &&
  valuesOf(request, 'upgrade').length > 0 &&
  valuesOf(request, 'connection').some((value) => /upgrade/i.test(value));
const isChunked = (request: SeenRequest): boolean =>
  valuesOf(request, 'transfer-encoding').some((value) => /chunked$/i.test(value));
const TOKEN = /[\w!#$%&'*+.^`|~-]+/.source;
const EXTENSION = `${TOKEN}(?:=(?:${TOKEN}|${/"(?:[^"\\\r\n]|\\.)*"/.source}))?`;
/** A chunk size and a semicolon, after which no valid list of chunk extensions follows. */
const BROKEN_EXTENSION = new RegExp(`\\n[0-9a-f]+;(?!${EXTENSION}(?:;${EXTENSION})*\\r\\n)`, 'i');

const RULES: readonly Rule[] = [
  // our status is more exact than 400 ----
  named(
    '501 for a method that nobody has registered (RFC 9110 §9.1, RFC 9112 §3)',
    501,
    (text) => !METHODS.includes(methodOf(text)),
  ),
  named(
    '501 for CONNECT, whatever it asks for (RFC 9110 §9.3.6)',
    501,
    (text) => methodOf(text) === 'CONNECT',
  ),
  named('505 for another major version (RFC 9110 §15.6.6)', 505, (text) =>
    / HTTP\/[02-9]\.\d$/.test(lineOf(text)),
  ),
  named('501 for a coding before chunked that is not understood (RFC 9112 §6.1)', 501, (text) =>
    /\ntransfer-encoding:[^\r\n]*[\t ,]chunked[\t ]*\r\n/i.test(`${headOf(text)}\r\n`),
  ),
  named('421 for a target of https without TLS (RFC 9110 §7.4)', 421, (text) =>
    /^[A-Z-]+ https:\/\//i.test(lineOf(text)),
  ),
  named('413 for a length above the limit (RFC 9110 §15.5.14)', 413, (text) =>
    /\ncontent-length:[\t ]*0*[1-9]\d{6,}[\t ]*\r\n/i.test(`${headOf(text)}\r\n`),
  ),
  {
    name: '417 for an expectation that nobody knows (RFC 9110 §10.1.1)',
    explains: ({ own, node }) =>
      own.refusal === '417' &&
      node.request !== undefined &&
      valuesOf(node.request, 'expect').some((value) => !/(?:^|,)\s*100-continue\s*(?:,|$)/i.test(value)),
  },
  {
    name: '417 for an expectation before the fault in the body is seen (RFC 9110 §10.1.1)',
    explains: ({ own, node, text }) =>
      own.refusal === '417' && node.refusal !== undefined && /\r\nexpect:/i.test(headOf(text)),
  },
  // our front end refuses what llhttp serves ----
  stricter('no HTTP/0.9 (RFC 9112 §2.3)', 400, ({ version }) => version === 'HTTP/0.9'),
  stricter(
    'Host is missing or comes twice (RFC 9112 §3.2)',
    400,
    (request) =>
      valuesOf(request, 'host').length !== (request.version === 'HTTP/1.0' ? 0 : 1) &&
      valuesOf(request, 'host').length !== 1,
  ),
  stricter('Host is no host and port (RFC 9112 §3.2)', 400, (request) =>
    valuesOf(request, 'host').some((host) => host !== '' && !HOST.test(host)),
  ),
  stricter(
    'the target has none of the four forms (RFC 9112 §3.2)',
    400,
    ({ method, target }) =>
      !target.startsWith('/') && !ABSOLUTE.test(target) && !(target === '*' && method === 'OPTIONS'),
  ),
  stricter('the authority of the target is no host and port (RFC 9110 §4.2)', 400, ({ target }) => {
    const authority = ABSOLUTE.exec(target)?.[1];
    return authority !== undefined && !HOST.test(authority);
  }),
  stricter(
    'Transfer-Encoding in HTTP/1.0 is faulty framing (RFC 9112 §6.1)',
    400,
    (request) => request.version === 'HTTP/1.0' && valuesOf(request, 'transfer-encoding').length > 0,
  ),
  stricter(
    'Transfer-Encoding says more, or less, than chunked once (RFC 9112 §6.1, §6.3)',
    400,
    (request) => {
      const codings = valuesOf(request, 'transfer-encoding');
      return codings.length > 1 || codings.some((coding) => coding.toLowerCase() !== 'chunked');
    },
  ),
  stricter('the protocol is no HTTP (RFC 9112 §2.3)', 400, (_request, text) =>
    /^\S+ \S+ +(?:RTSP|ICE)\/\d/.test(lineOf(text)),
  ),
  {
    name: 'a bare CR or LF before a request line is no empty line (RFC 9112 §2.2)',
    explains: ({ own, node, text }) =>
      own.refusal === '400' && node.refusal === undefined && /^(?:\r\n)*(?:\n|\r(?!\n))/.test(text),
  },
  stricter(
    'more than eight empty lines precede a request (RFC 9112 §2.2 asks for one)',
    400,
    (_request, text) => /^(?:\r\n){9}/.test(text),
  ),
  stricter('one blank is between the parts of a request line (RFC 9112 §3)', 400, (_request, text) =>
    / {2}/.test(lineOf(text)),
  ),
  stricter(
    'a size of a chunk has at most thirteen digits (RFC 9112 §7.1 asks for a limit)',
    400,
    (request, text) => isChunked(request) && /\n[0-9a-f]{14}/i.test(text),
  ),
  stricter(
    'an extension of a chunk has a name, and a value behind an equals sign (RFC 9112 §7.1.1)',
    400,
    (request, text) => isChunked(request) && BROKEN_EXTENSION.test(text),
  ),
  {
    name: 'CONNECT is looked at before it is refused (RFC 9112 §3)',
    explains: ({ own, node }) => own.refusal === '400' && node.refusal === 'CONNECT',
  },
  // llhttp refuses what our front end serves ----
  {
    name: 'llhttp does not know a connection option with a tab behind it (RFC 9112 §5: it is none of the value)',
    explains: ({ own, node, before, passed }) =>
      before !== undefined &&
      (isEnd(own) || isEnd(node)) &&
      /\nconnection:[^\r\n]*(?:close|keep-alive)[\t ]*\t/i.test(passed),
  },
  stricter(
    'a trailer that would frame the message is refused (RFC 9110 §6.5.1)',
    400,
    (request, text) =>
      isChunked(request) && /\n(?:transfer-encoding|content-length):/i.test(behindHead(text)),
  ),
  looser(
    'blanks and tabs around a length are none of it (RFC 9112 §5)',
    'HPE_INVALID_CONTENT_LENGTH',
    (_request, { text }) => /\ncontent-length:[\t ]*\d+[\t ]*\t[\t ]*\r\n/i.test(`${headOf(text)}\r\n`),
  ),
  looser(
    'blanks and tabs around a coding are none of it (RFC 9112 §5)',
    'HPE_INVALID_TRANSFER_ENCODING',
    (_request, { text }) =>
      /\ntransfer-encoding:[\t ]*chunked[\t ]*\t[\t ]*\r\n/i.test(`${headOf(text)}\r\n`),
  ),
  {
    name: 'Proxy-Connection says nothing to an origin server (RFC 9112 appendix C.2.2)',
    explains: ({ own, node, before }) =>
      before !== undefined && valuesOf(before, 'proxy-connection').length > 0 && (isEnd(own) || isEnd(node)),
  },
  {
    name: 'close is stronger than keep-alive in HTTP/1.0, too (RFC 9112 §9.3)',
    explains: ({ own, before }) =>
      isEnd(own) &&
      before?.version === 'HTTP/1.0' &&
      valuesOf(before, 'connection').some((value) => /(?:^|,)\s*close\s*(?:,|$)/i.test(value)),
  },
  {
    // llhttp treats the trailer field as a header field, and node:http closes the connection
    name: 'Connection as a trailer says nothing about the connection (RFC 9110 §6.5.1)',
    explains: ({ node, before, passed }) =>
      isEnd(node) &&
      before !== undefined &&
      isChunked(before) &&
      /\r\n0+(?:;[^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*(?:proxy-)?connection:/i.test(passed),
  },
  looser('HTTP/1.2 to 1.9 are served as 1.1 (RFC 9110 §2.5)', 'HPE_INVALID_VERSION', (_request, { text }) =>
    / HTTP\/1\.[2-9]$/.test(lineOf(text)),
  ),
  looser(
    'node:http reads nothing behind an upgrade, taken or not (RFC 9110 §7.8)',
    undefined,
    (_request, { before }) => isUpgrade(before),
  ),
  {
    name: 'node:http reads nothing behind an upgrade, and sees no fault there',
    explains: ({ own, node, before }) => own.refusal !== undefined && isEnd(node) && isUpgrade(before),
  },
];

export interface Comparison {
  /** Name of the rule that explains the first difference. The comparison ends there. */
  readonly rule: string | undefined;
  /** The first difference, when no rule explains it. */
  readonly unexplained: Difference | undefined;
  /** The common result, where both servers agree to the end. */
  readonly end: 'served' | 'refused' | undefined;
}

export function compareHttp1(
  bytes: string,
  ownOutcome: ProbeOutcome,
  nodeOutcome: OracleOutcome,
): Comparison {
  const ours = ownEvents(ownOutcome);
  const theirs = nodeEvents(nodeOutcome);
  let at = 0;
  let before: SeenRequest | undefined;
  for (let i = 0; i < Math.max(ours.length, theirs.length); i++) {
    const [own, node] = [ours[i] ?? {}, theirs[i] ?? {}];
    const difference = { own, node, text: bytes.slice(at), passed: bytes.slice(0, at), before };
    const { request } = difference.node;
    if (request !== undefined) at = endOf(bytes, at, request);
    before = request;
    if (isSame(difference)) {
      if (request === undefined) return { rule: undefined, unexplained: undefined, end: 'refused' };
      continue;
    }
    const rule = RULES.find((candidate) => candidate.explains(difference));
    return rule === undefined
      ? { rule: undefined, unexplained: difference, end: undefined }
      : { rule: rule.name, unexplained: undefined, end: undefined };
  }
  return { rule: undefined, unexplained: undefined, end: 'served' };
}

function ownEvents({ answers, requests }: ProbeOutcome): Event[] {
  let served = 0;
  return answers
    .filter((answer) => answer !== '100')
    .map((answer) => {
      const request = requests[served];
      if (request === undefined || answer !== describeRequest(request)) return { refusal: answer };
      served += 1;
      return { request };
    });
}

function nodeEvents({ requests, fault }: OracleOutcome): Event[] {
  const events: Event[] = requests.map((request) => ({ request }));
  if (fault !== undefined) events.push({ refusal: fault });
  return events;
}

/** Returns the approximate position where a request ends in the bytes: after its head and its body. */
function endOf(bytes: string, from: number, request: SeenRequest): number {
  const line = bytes.indexOf(` ${request.target} `, from);
  if (line === -1) return from;
  const end = bytes.indexOf('\r\n\r\n', line);
  if (end === -1) return from;
  const body = end + '\r\n\r\n'.length;
  if (!isChunked(request)) return body + request.body.length;
  return endOfChunks(bytes, body);
}

function endOfChunks(bytes: string, from: number): number {
  for (let at = from; ; ) {
    const line = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.slice(at, line), 16);
    if (line === -1 || Number.isNaN(size)) return at;
    // the last chunk: the empty line after the trailers, or after the line of the chunk
    if (size === 0) return bytes.indexOf('\r\n\r\n', line) + '\r\n\r\n'.length;
    at = line + 2 + size + 2;
  }
}

function isSame({ own, node }: Difference): boolean {
  if (own.request !== undefined && node.request !== undefined)
    return describeRequest(own.request) === describeRequest(inOriginForm(node.request));
  if (own.refusal !== undefined && node.refusal !== undefined) return own.refusal === statusOf(node.refusal);
  return own.request === node.request && own.refusal === node.refusal;
}

/** Returns the status that node:http sends for a fault. */
function statusOf(fault: string): string {
  return fault === 'CONNECT' ? '501' : '400';
}

/** RFC 9112 §3.2.2: the authority of a target in absolute form replaces Host. §3.2.4: `*` in absolute form. */
function inOriginForm(request: SeenRequest): SeenRequest {
  const [, authority, path = ''] = /^https?:\/\/([^/?#]*)(.*)$/is.exec(request.target) ?? [];
  if (authority === undefined) return request;
  const rooted = path.startsWith('/') ? path : `/${path}`;
  const target = request.method === 'OPTIONS' && path === '' ? '*' : rooted;
  const at = request.fields.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'host');
  const fields = at === -1 ? [...request.fields, 'Host', authority] : request.fields.with(at + 1, authority);
  return { ...request, target, authority, fields };
}
