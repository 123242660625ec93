/** Describes the machine: measured values are comparable only on the same machine. */
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';

const GIBIBYTE = 1024 ** 3;

export function machineFacts(): Readonly<Record<string, string | number>> {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / GIBIBYTE),
    system: `${type()} ${release()}`,
    node: process.version,
    openssl: process.versions.openssl,
    nghttp2: process.versions['nghttp2'] ?? 'unknown',
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}
