/** Scenarios that move one long body: a file as a whole, and loops of Lua over HTTP/1.1. */
import { download, upload } from './measures/transfer.ts';
import { CPU_MS, GROWTH, SPEED } from './metrics.ts';
import type { Scenario, Threshold } from './scenario.ts';

const GROWTH_MIB_MAX = 64;
export const growthStaysFlat: Threshold = { metric: 'growthMib', bound: 'at most', value: GROWTH_MIB_MAX };

export function wholeFile(handler: 'copy' | 'sendfile', title: string): Scenario {
  return {
    name: handler,
    title,
    handler,
    measure: download(handler),
    metrics: [SPEED, CPU_MS, GROWTH],
    thresholds: [{ metric: 'mibPerSecond', bound: 'at least', value: 0.95, of: 'node' }, growthStaysFlat],
  };
}

/** Compares with node:http, which pipes between file and message. */
export function http1Transfer(handler: 'download' | 'upload', way: 'http/1.1' | 'plain http/1.1'): Scenario {
  const isPlain = way === 'plain http/1.1';
  const words = `${handler} over HTTP/1.1, ${isPlain ? 'cleartext' : 'TLS'}`;
  return {
    name: `${handler}-${isPlain ? 'plain-h1' : 'h1'}`,
    title: `${words}, through a Lua loop of 64 KiB reads and writes; node pipes it`,
    handler,
    measure: handler === 'download' ? download('download', way) : upload(way),
    metrics: [SPEED, CPU_MS, GROWTH],
    thresholds: [
      { metric: 'mibPerSecond', bound: 'at least', value: 1, of: 'node', goal: `${words}, MiB/s` },
      growthStaysFlat,
    ],
  };
}
