/** Where a request stands in a trace (W3C Trace Context, https://www.w3.org/TR/trace-context/): what the client says, and a span of our own below it. */
import { randomFillSync } from 'node:crypto';

export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits: what the gateway calls its part. Whatever it asks of others has this as its parent. */
  readonly spanId: string;
  /** Two hexadecimal digits, of the bits that the version 00 has: sampled, and that the id is random. */
  readonly flags: string;
  /** What others have added, as it came; undefined: nothing that can be passed on. */
  readonly state: string | undefined;
}

/** Later versions may say more behind what we know (§4.3): it is not looked at, but it has an end. */
const PARENT_LENGTH_MAX = 256;
/** A longer list need not be passed on (§3.3.1.5). */
const STATE_LENGTH_MAX = 512;
const PARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const FLAGS_KNOWN = 0x03;
const NOTHING = /^0+$/;

const SPAN_BYTES = 8;
const pool = Buffer.alloc(512 * SPAN_BYTES);
let taken = pool.length;

/** Undefined: there is no `traceparent`, or one that is not well-formed, which is not passed on either (§3.2.2.3, §4.3). */
export function readTraceContext(
  traceparent: string | undefined,
  tracestate: () => string | undefined,
): TraceContext | undefined {
  if (traceparent === undefined || traceparent.length > PARENT_LENGTH_MAX) return undefined;
  const [, version, traceId, parentId, flags = '', more] = PARENT.exec(traceparent) ?? [];
  if (traceId === undefined || parentId === undefined || version === 'ff') return undefined;
  if (NOTHING.test(traceId) || NOTHING.test(parentId) || (version === '00' && more !== undefined))
    return undefined;
  const state = tracestate();
  return {
    traceId,
    spanId: newSpanId(),
    flags: (Number.parseInt(flags, 16) & FLAGS_KNOWN).toString(16).padStart(2, '0'),
    state: state === undefined || state === '' || state.length > STATE_LENGTH_MAX ? undefined : state,
  };
}

/** Names and values for what is asked of another server. */
export function traceFields({ traceId, spanId, flags, state }: TraceContext): readonly string[] {
  const parent = ['traceparent', `00-${traceId}-${spanId}-${flags}`];
  return state === undefined ? parent : [...parent, 'tracestate', state];
}

function newSpanId(): string {
  for (;;) {
    if (taken === pool.length) {
      randomFillSync(pool);
      taken = 0;
    }
    const id = pool.toString('hex', taken, taken + SPAN_BYTES);
    taken += SPAN_BYTES;
    if (!NOTHING.test(id)) return id;
  }
}
