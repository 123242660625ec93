/** What one worker counts for each listener. */
import { MetricTable, type NumberNames, type Slots } from './metric-row.ts';

const METRICS = {
  connections: { gauge: 'Connections that are open' },
  connectionsTotal: { total: 'Connections accepted' },
} as const;

export type ListenerCounterName = NumberNames<typeof METRICS>;
export const LISTENER_METRICS: MetricTable<ListenerCounterName> = new MetricTable<ListenerCounterName>(
  METRICS,
);

/** Slots of what is counted. */
export const LISTENER_COUNT: Slots<ListenerCounterName> = LISTENER_METRICS.slots;
