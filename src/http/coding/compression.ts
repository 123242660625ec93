/** What all answers of a worker that are compressed share: the settings, the turns in the pool, and the memory of coders. */

import { COUNT, type Counters } from '../../metrics/worker-metrics.ts';
import type { CompressionSettings } from '../../settings/compression.ts';
import { preferredCodings } from '../semantics/accept-encoding.ts';
import { CODER_BYTES, CODINGS, type Coding } from './codings.ts';
import { GzipBodies } from './gzip-bodies.ts';
import type { PoolTurns } from './pool-turns.ts';
import { TypeList } from './type-list.ts';

/**
 * Bytes that coders of one worker may hold at once: 204 of gzip, 51 of br, 16 of zstd. A client that reads slowly keeps its coder; an
 * answer for which there is no more memory goes as it is.
 */
export const CODERS_BYTES_MAX: number = 64 * 1024 * 1024;

/** What one turn in the pool may take (bytes): 2 to 3 ms of it at the default levels, 6 ms at the largest. A whole body of this size has a Content-Length. */
export const PIECE_BYTES_MAX: number = 128 * 1024;

/** Values of Accept-Encoding whose choice is remembered: each browser has one. */
const CHOICES_MAX = 64;
/** A longer value is read each time (characters). */
const CHOICE_LENGTH_MAX = 100;

export class Compression {
  readonly turns: PoolTurns;
  readonly gzipBodies: GzipBodies = new GzipBodies(PIECE_BYTES_MAX);
  readonly #counters: Counters;
  readonly #choices = new Map<string, Coding | undefined>();
  #types: TypeList;
  #bytes = 0;
  /** Answers that say nothing about it are compressed where they may. */
  isOn: boolean;
  bytesMin: number;

  constructor(settings: CompressionSettings, turns: PoolTurns, counters: Counters) {
    this.turns = turns;
    this.#counters = counters;
    this.#types = new TypeList(settings.types);
    this.isOn = settings.enabled;
    this.bytesMin = settings.bytesMin;
  }

  /** For answers whose head is given from now on. */
  apply({ enabled, types, bytesMin }: CompressionSettings): void {
    this.#types = new TypeList(types);
    this.isOn = enabled;
    this.bytesMin = bytesMin;
  }

  listsType(contentType: string | undefined): boolean {
    return this.#types.has(contentType);
  }

  /** The coding for a client with this Accept-Encoding; undefined: none. */
  choose(acceptEncoding: string | undefined): Coding | undefined {
    if (acceptEncoding === undefined) return undefined;
    const known = this.#choices.get(acceptEncoding);
    if (known !== undefined || this.#choices.has(acceptEncoding)) return known;
    const choice = preferredCodings(acceptEncoding, CODINGS)[0];
    if (this.#choices.size < CHOICES_MAX && acceptEncoding.length <= CHOICE_LENGTH_MAX)
      this.#choices.set(acceptEncoding, choice);
    return choice;
  }

  /** Admits a coder, and counts it; false: there is no memory for it, which is counted, too. */
  admit(coding: Coding): boolean {
    const bytes = CODER_BYTES[coding];
    if (this.#bytes + bytes > CODERS_BYTES_MAX) {
      this.#counters.add(COUNT.compressionsRefusedTotal, 1);
      return false;
    }
    this.#bytes += bytes;
    this.#counters.add(COUNT.coders, 1);
    return true;
  }

  /** One that was admitted holds nothing any more. */
  release(coding: Coding): void {
    this.#bytes -= CODER_BYTES[coding];
    this.#counters.add(COUNT.coders, -1);
  }

  count(): void {
    this.#counters.add(COUNT.compressedTotal, 1);
  }
}
