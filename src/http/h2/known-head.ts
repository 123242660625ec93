/** What a session makes of a request's field section, once for all requests that repeat it. */
import type { ConnectionInfo } from '../exchange/exchange.ts';
import type { ClientRequest, RequestHead } from '../exchange/request-head.ts';
import type { FieldSection } from './hpack-decoder.ts';
import { parseRequestHead } from './parse-request-head.ts';
import { DEFAULT_PRIORITY, type Priority, parsePriority } from './priority.ts';
import { CONTINUE, refusalOf } from './request-refusal.ts';

/** A request head that is well-formed. */
export interface KnownHead {
  /** What exchanges get to see, without a body and with one. */
  readonly bodyless: RequestHead;
  readonly withBody: RequestHead;
  /** The status that refuses the request; 0 when it is served. */
  readonly refusal: number;
  readonly expectsContinue: boolean;
  readonly priority: Priority;
}

/** What the access log has in place of what was never known. */
const UNKNOWN = '-';
const NO_FACTS = { authority: '', fields: [], declaredLength: undefined };

export interface HeadLimits {
  readonly headBytesMax: number;
  /** Infinity = no limit. */
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

  /** The head of a section that holds all its fields; a string says why the request is malformed. */
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
    const { method, target, authority, fields, declaredLength, expect, priority } = parsed;
    const { headBytesMax, bodyBytesMax } = this.#limits;
    const isTooLarge = section.tooLarge || parsed.bytes > headBytesMax;
    return {
      ...this.#heads({ method, target, authority, fields, declaredLength }),
      refusal: isTooLarge ? 431 : refusalOf(method, expect, declaredLength, bodyBytesMax),
      expectsContinue: expect === CONTINUE,
      priority: priority === undefined ? DEFAULT_PRIORITY : parsePriority(priority),
    };
  }

  /** Of a section that was not kept far enough to tell what it asks for. */
  #makeTooLarge(): KnownHead {
    const heads = this.#heads({ method: UNKNOWN, target: UNKNOWN, ...NO_FACTS });
    return { ...heads, refusal: 431, expectsContinue: false, priority: DEFAULT_PRIORITY };
  }

  /** What the log says of a request that is malformed: its method and path, where it names them. */
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
    });
    return { bodyless: head(false), withBody: head(true) };
  }
}
