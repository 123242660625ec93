/** The bounded resources of one worker, and the log lines about mappings that have used up their share. */
import type { Logger } from '../base/logger.ts';
import { MESSAGE_BYTES_WAITING_MAX, SUBSCRIPTIONS_MAX } from '../events/event-limits.ts';
import { type Resource, Shares } from '../mapping/shares.ts';
import { FETCHES_MAX, SOCKETS_MAX } from '../outbound/outbound-limits.ts';
import { CALLS_MAX } from '../store/store-limits.ts';
import { WEBSOCKETS_MAX } from '../websocket/websocket-limits.ts';

/** What one worker may have at the same time, for all mappings together. */
const WORKER_LIMITS: Readonly<Record<Resource, number>> = {
  // half of the 1024 descriptors that a process has by default on many systems
  files: 512,
  // a hundred slow commands, and some; each has up to three pipes
  processes: 128,
  fetches: FETCHES_MAX,
  sockets: SOCKETS_MAX,
  // a hundred requests that have as many as one may; about a kilobyte each
  tasks: 25_600,
  // ten scripts that have as many as one may
  timers: 10_000,
  websockets: WEBSOCKETS_MAX,
  subscriptions: SUBSCRIPTIONS_MAX,
  messageBytes: MESSAGE_BYTES_WAITING_MAX,
  storeCalls: CALLS_MAX,
};
/** The log says at most once in so many milliseconds that a mapping has used up its share. */
const SHARE_NOTICE_MS = 60_000;

/** `percent`: what one mapping may take of what the others leave, at first. */
export function createShares(percent: number, logger: Logger): Shares {
  const toldAt = new Map<string, number>();
  const shares = new Shares({
    limits: WORKER_LIMITS,
    percent,
    onRefused: (share, resource, limit) => {
      const key = `${resource} ${share.name}`;
      const now = performance.now();
      if (now - (toldAt.get(key) ?? Number.NEGATIVE_INFINITY) < SHARE_NOTICE_MS) return;
      toldAt.set(key, now);
      logger.warn(`Limit of ${resource} reached`, {
        mapping: share.name,
        used: share.used(resource),
        limit,
        usedByAll: shares.total(resource),
        limitOfAll: WORKER_LIMITS[resource],
      });
    },
  });
  return shares;
}
