/** What `register_handler` is told about a handler beside its name. */
import type { RunLimits } from './run-limits.ts';

export interface HandlerOptions extends Partial<RunLimits> {
  /** The methods it answers; undefined: all that no other handler of the name answers. */
  readonly methods?: readonly string[];
  /** Bytes of the request body, more gets 413; Infinity or undefined: no other limit than `--max-body`, which holds in any case. */
  readonly bodyBytesMax?: number;
  /** Its answers are kept where they allow it (RFC 9111); default false. */
  readonly isCached?: boolean;
}
