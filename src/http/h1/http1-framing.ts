/** What the fields of a request say about its message and its connection (RFC 9112 §6, §9; RFC 9110 §7.2, §7.8, §10.1.1). */
import { isAuthority } from '../../base/authority.ts';
import { type Fields, hasListMember, isNamed, parseContentLength } from '../semantics/fields.ts';

export interface RequestFraming {
  /** The status to refuse the request with; 0 when all is well. */
  readonly refusal: number;
  readonly host: string;
  /** Content-Length; undefined where there is none. */
  readonly declaredLength: number | undefined;
  readonly chunked: boolean;
  readonly expectsContinue: boolean;
  /** The connection may stay open behind the answer. */
  readonly persistent: boolean;
  /** The protocols that the client would go on with; undefined where it asks for none. */
  readonly upgrade: string | undefined;
}

/** Reads the fields of a request of HTTP/1.`minor`, and refuses what could be read in two ways. */
export function readFraming(fields: Fields, minor: number): RequestFraming {
  const framing = new Framing(minor);
  for (let i = 0; i < fields.length; i += 2) framing.take(fields[i] as string, fields[i + 1] as string);
  framing.complete();
  return framing;
}

class Framing implements RequestFraming {
  readonly #minor: number;
  #hosts = 0;
  #closes = false;
  #keeps = false;
  #upgrades = false;
  refusal = 0;
  host = '';
  declaredLength: number | undefined = undefined;
  chunked = false;
  expectsContinue = false;
  persistent = false;
  upgrade: string | undefined = undefined;

  constructor(minor: number) {
    this.#minor = minor;
  }

  take(name: string, value: string): void {
    switch (name.length) {
      case 4:
        if (isNamed(name, 'host')) this.#takeHost(value);
        break;
      case 6:
        if (isNamed(name, 'expect') && this.#minor > 0) this.#takeExpectation(value);
        break;
      case 7:
        if (isNamed(name, 'upgrade'))
          this.upgrade = this.upgrade === undefined ? value : `${this.upgrade},${value}`;
        break;
      case 10:
        if (isNamed(name, 'connection')) this.#takeConnection(value);
        break;
      case 14:
        if (isNamed(name, 'content-length')) this.#takeLength(value);
        break;
      case 17:
        if (isNamed(name, 'transfer-encoding')) this.#takeCodings(value);
        break;
    }
  }

  complete(): void {
    const isOld = this.#minor === 0;
    if (this.#hosts === 0 && !isOld) this.refusal = 400;
    if (this.chunked && this.declaredLength !== undefined) this.refusal = 400;
    this.persistent = !this.#closes && (!isOld || this.#keeps);
    if (!this.#upgrades || isOld) this.upgrade = undefined;
  }

  #takeHost(value: string): void {
    this.#hosts += 1;
    // empty where the target has no authority (RFC 9112 §3.2)
    if (this.#hosts > 1 || (value !== '' && !isAuthority(value))) this.refusal = 400;
    this.host = value;
  }

  #takeExpectation(value: string): void {
    if (hasListMember(value, '100-continue')) this.expectsContinue = true;
    else this.refusal ||= 417;
  }

  #takeConnection(value: string): void {
    this.#closes ||= hasListMember(value, 'close');
    this.#keeps ||= hasListMember(value, 'keep-alive');
    this.#upgrades ||= hasListMember(value, 'upgrade');
  }

  /** Two lengths are refused even where they agree: what stands before us may have read one of them otherwise. */
  #takeLength(value: string): void {
    const length = parseContentLength(value);
    if (length === undefined || this.declaredLength !== undefined) this.refusal = 400;
    this.declaredLength = length ?? 0;
  }

  #takeCodings(value: string): void {
    const codings = value.toLowerCase();
    if (this.#minor === 0 || this.chunked) this.refusal = 400;
    else if (codings !== 'chunked') this.refusal = CHUNKED_LAST.test(codings) ? this.refusal || 501 : 400;
    this.chunked = true;
  }
}

/** Tokens, of which the last one alone is `chunked`: else the end of the body cannot be found (RFC 9112 §6.1, §6.3). */
const CHUNKED_LAST = /^(?:(?!chunked[\t ]*,)[!#$%&'*+\-.^_`|~0-9a-z]+[\t ]*,[\t ]*)+chunked$/;
