/** Makes the head of a request from its field section, once for all requests of a session that repeat the section. */
import type { ConnectionInfo } from '../exchange/exchange.ts';
import type { ClientRequest, RequestHead } from '../exchange/request-head.ts';
import type { FieldSection } from './hpack-decoder.ts';
import { parseRequestHead } from './parse-request-head.ts';
import { DEFAULT_PRIORITY, type Priority, parsePriority } from './priority.ts';
import { CONTINUE, mayConnectBy, refusalOf } from './request-refusal.ts';

/** A request head that is well-formed. */
export interface KnownHead {
  /** The head that exchanges get, for a request without a body and for one with a body. */
  readonly bodyless: RequestHead;
  readonly withBody: RequestHead;
  /** The status that refuses the request; 0 when it is served. */
  readonly refusal: number;
  readonly expectsContinue: boolean;
  readonly priority: Priority;
}

/** Stands in the access log for a method or a path that the section does not tell. */
const UNKNOWN = '-';
const NO_FACTS = { authority: '', fields: [], declaredLength: undefined, connectProtocol: undefined };

export interface HeadLimits {
  readonly headBytesMax: number;
  /** Infinity: no limit. */
  readonly bodyBytesMax: number;
}

export class HeadReader {
  readonly #connection: ConnectionInfo;
  readonly #scheme: 'https' | 'http';
  readonly #limits: HeadLimits;

  constructor(connection: ConnectionInfo, scheme: 'https' | 'http', limits: HeadLimits) {
    this.#connection = connection;
    this.#scheme = scheme;
    this.#limits = limits;
  }

  /** Returns the head of a request; a string says why the request is malformed. */
  read(section: FieldSection): KnownHead | string {
    const known = section.memo;
    if (known !== undefined) return known as KnownHead | string;
    const fresh = this.#make(section);
    section.memo = fresh;
    return fresh;
  }

  #make(section: FieldSection): KnownHead | string {
    const parsed = parseRequestHead(section);
    if (typeof parsed === 'string') return section.tooLarge ? this.#makeTooLarge() : parsed;
    const { method, target, authority, fields, declaredLength, connectProtocol, expect, priority } = parsed;
    const { scheme } = parsed;
    const { headBytesMax, bodyBytesMax } = this.#limits;
    const isTooLarge = section.tooLarge || parsed.bytes > headBytesMax;
    return {
      ...this.#heads({ method, target, authority, fields, declaredLength, connectProtocol }),
      refusal: isTooLarge
        ? 431
        : connectProtocol !== undefined && !mayConnectBy(scheme, this.#scheme)
          ? 400
          : refusalOf(method, expect, declaredLength, bodyBytesMax, connectProtocol),
      expectsContinue: expect === CONTINUE,
      priority: priority === undefined ? DEFAULT_PRIORITY : parsePriority(priority),
    };
  }

  /** Makes the head for a section of which too little was kept to tell what it asks for. */
  #makeTooLarge(): KnownHead {
    const heads = this.#heads({ method: UNKNOWN, target: UNKNOWN, ...NO_FACTS });
    return { ...heads, refusal: 431, expectsContinue: false, priority: DEFAULT_PRIORITY };
  }

  /** Makes the head by which the log names a malformed request: its method and path, where the section has them. */
  malformed({ fields }: FieldSection): RequestHead {
    const named = (wanted: string): string => {
      const at = fields.findIndex((name, i) => i % 2 === 0 && name === wanted);
      return at === -1 ? UNKNOWN : fields[at + 1] || UNKNOWN;
    };
    return this.#heads({ method: named(':method'), target: named(':path'), ...NO_FACTS }).bodyless;
  }

  #heads(facts: ClientRequest): Pick<KnownHead, 'bodyless' | 'withBody'> {
    const head = (hasBody: boolean): RequestHead => ({
      protocol: 'HTTP/2',
      ...facts,
      scheme: this.#scheme,
      connection: this.#connection,
      pushed: false,
      hasBody,
      memo: undefined,
      logged: undefined,
      split: undefined,
    });
    return { bodyless: head(false), withBody: head(true) };
  }
}
