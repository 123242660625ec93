/** What one mapping uses in one worker, and what its scripts have written to the log. */
import { MetricTable, type NumberNames, type Slots } from './metric-row.ts';

const METRICS = {
  files: { gauge: 'Files that its scripts have open' },
  processes: { gauge: 'Programs that its scripts have started' },
  fetches: { gauge: 'Requests of its scripts to other servers under way' },
  sockets: { gauge: 'Connections that its scripts have opened by `httpd.connect`' },
  tasks: { gauge: 'Tasks of its handlers' },
  timers: { gauge: 'Timers that wait or run' },
  websockets: { gauge: 'WebSockets of its handlers' },
  subscriptions: { gauge: 'Channels that its handlers have subscribed to' },
  messageBytes: { gauge: 'Bytes of messages that wait for its subscribers' },
  storeCalls: { gauge: 'Calls of its scripts on dictionaries in a store that wait' },
  luaMemoryBytes: { gauge: 'Memory of its Lua states' },
  luaCpuMsTotal: {
    total: 'Processor time of its Lua code, ms, of calls that took longer than a millisecond or two',
  },
  luaSlicesTotal: { total: 'Times when its Lua code had to let others run' },
  cpuLimitsTotal: { total: 'Runs that have reached `--cpu-limit`' },
  timeLimitsTotal: { total: 'Runs that have reached `--time-limit`' },
  memoryLimitsTotal: { total: 'Times when a state had no memory left' },
  statesLostTotal: { total: 'States that had to be given up' },
  limitsReachedTotal: { total: 'Times when its share was used up' },
  logLinesTotal: { total: 'Lines that its scripts have written to the log' },
  logBytesTotal: { total: 'Bytes of those lines' },
  logLinesDroppedTotal: { total: 'Lines left out because there were too many' },
} as const;

export type MappingCounterName = NumberNames<typeof METRICS>;
export const MAPPING_METRICS: MetricTable<MappingCounterName> = new MetricTable<MappingCounterName>(METRICS);
export const MAPPING_COUNTER_NAMES: readonly MappingCounterName[] = MAPPING_METRICS.names;

/** Slots of what is counted. */
export const MAPPING_COUNT: Slots<MappingCounterName> = MAPPING_METRICS.slots;
