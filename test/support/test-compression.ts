/** The compression of a worker, for tests that make exchanges without one. */
import { Compression } from '../../src/http/coding/compression.ts';
import { PoolTurns } from '../../src/http/coding/pool-turns.ts';
import { Counters } from '../../src/metrics/worker-metrics.ts';
import { type CompressionSettings, DEFAULT_COMPRESSION } from '../../src/settings/compression.ts';

export function testCompression(
  settings: Partial<CompressionSettings> = {},
  counters: Counters = new Counters(),
  turns: PoolTurns = new PoolTurns(2),
): Compression {
  return new Compression({ ...DEFAULT_COMPRESSION, ...settings }, turns, counters);
}
