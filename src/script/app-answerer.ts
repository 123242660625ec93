/** Who answers one of the requests of an app: the run goes on to others, and what it has used for this one stays known. */
import type { Answerer } from '../http/exchange/exchange.ts';

export class AppAnswerer implements Answerer {
  readonly requestId: string;
  readonly requestNumber: number;
  readonly mappingName: string;
  /** What the request has taken; undefined: the run has not gone on to another one. */
  finalCpuMs: number | undefined;
  readonly #run: { readonly cpuUsedMs: number };

  constructor(
    run: Answerer & {
      readonly requestNumber: number;
      readonly mappingName: string;
      readonly cpuUsedMs: number;
    },
  ) {
    this.requestId = run.requestId;
    this.requestNumber = run.requestNumber;
    this.mappingName = run.mappingName;
    this.#run = run;
  }

  get cpuTotalMs(): number {
    return this.finalCpuMs ?? this.#run.cpuUsedMs;
  }
}
