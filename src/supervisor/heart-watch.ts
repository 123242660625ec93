/** Looks at regular times whether the workers give their heartbeats, and has those replaced that do not. */
import { BEAT_INTERVAL_MS, type Heartbeat } from '../base/heartbeat.ts';
import type { Limits } from '../settings/limits.ts';
import { Silence, type SilentThread } from './silence.ts';
import { readThreadUse, type ThreadUse } from './thread-use.ts';

/** What is watched of a worker. */
export interface WatchedWorker {
  /** It serves: while a thread begins, it may be held up. */
  readonly ready: boolean;
  readonly heartbeat: Heartbeat;
  /** Ends the thread and lets another begin; `reason` completes "Worker 1 ended and is replaced: ". */
  replace(reason: string): void;
}

/** Asked at each look. */
interface WatchSettings {
  readonly values: { readonly limits: Pick<Limits, 'heartbeatLimitMs'> };
}

export class HeartWatch {
  readonly #workers: () => readonly WatchedWorker[];
  readonly #settings: WatchSettings;
  readonly #nameOf: (row: number) => string | undefined;
  readonly #readUse: (id: number) => ThreadUse | undefined;
  readonly #silences = new WeakMap<Heartbeat, Silence>();
  #timer: NodeJS.Timeout | undefined;
  #lookedAt = 0;

  /** `nameOf`: of a mapping, by its row of counters; `readUse`: tests replace it. */
  constructor(
    workers: () => readonly WatchedWorker[],
    settings: WatchSettings,
    nameOf: (row: number) => string | undefined,
    readUse: (id: number) => ThreadUse | undefined = readThreadUse,
  ) {
    this.#workers = workers;
    this.#settings = settings;
    this.#nameOf = nameOf;
    this.#readUse = readUse;
  }

  start(): void {
    this.#lookedAt = performance.now();
    this.#timer = setInterval(() => this.look(performance.now()), BEAT_INTERVAL_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One look; `now`: a time of performance.now. */
  look(now: number): void {
    const elapsedMs = now - this.#lookedAt;
    this.#lookedAt = now;
    const { heartbeatLimitMs } = this.#settings.values.limits;
    for (const worker of this.#workers()) {
      const { heartbeat } = worker;
      const silence = this.#silenceOf(heartbeat);
      if (!worker.ready) {
        silence.reset();
        continue;
      }
      const { systemThread } = heartbeat;
      const use = (): ThreadUse | undefined =>
        systemThread === undefined ? undefined : this.#readUse(systemThread);
      const silent = silence.tick(heartbeat.beats, elapsedMs, use);
      if (silent === undefined || silent.silentMs < heartbeatLimitMs) continue;
      silence.reset();
      worker.replace(this.#describe(silent, heartbeat, heartbeatLimitMs));
    }
  }

  /** True when each worker that serves has given its heartbeat at one of the last two looks. */
  get allAnswer(): boolean {
    return this.#workers().every(
      (worker) => !worker.ready || this.#silenceOf(worker.heartbeat).silentMs <= BEAT_INTERVAL_MS,
    );
  }

  #silenceOf(heartbeat: Heartbeat): Silence {
    let silence = this.#silences.get(heartbeat);
    if (silence === undefined) {
      silence = new Silence(BEAT_INTERVAL_MS);
      this.#silences.set(heartbeat, silence);
    }
    return silence;
  }

  #describe({ silentMs, cpuMs }: SilentThread, { mapping }: Heartbeat, limitMs: number): string {
    const doing = cpuMs === undefined ? '' : `, and computed for ${inSeconds(cpuMs)} of that`;
    const name = mapping === undefined ? undefined : this.#nameOf(mapping);
    const last = name === undefined ? '' : `; the last request of a module was for ${name}`;
    return `It was held up for ${inSeconds(silentMs)}${doing}, and the limit is ${inSeconds(limitMs)} (--heartbeat-limit)${last}`;
  }
}

function inSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
