/** How long a run may take: what `register_handler` and `timer` were told, or the defaults of the command line. */
export interface RunLimits {
  /** CPU time of one run, ms; Infinity = no limit. */
  readonly cpuLimitMs: number;
  /** A handler: time without output, ms. A timer: all of its time, ms. Infinity = no limit. */
  readonly timeLimitMs: number;
}
