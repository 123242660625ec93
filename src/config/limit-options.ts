/** The options of limits: a part of the table of options. */
import { DEFAULT_LIMITS, LIMIT_BOUNDS } from '../settings/limits.ts';
import { type DefaultedOption, defaulted, type ValueOption } from './option.ts';
import { integer, seconds, secondsOrUnlimited, size, sizeOrUnlimited } from './value-parsers.ts';

export interface LimitOptions {
  readonly idleTimeout: DefaultedOption<number>;
  readonly handshakeTimeout: DefaultedOption<number>;
  readonly headTimeout: DefaultedOption<number>;
  readonly stallTimeout: DefaultedOption<number>;
  readonly minBodyRate: DefaultedOption<number>;
  readonly drainTimeout: DefaultedOption<number>;
  readonly drainGrace: DefaultedOption<number>;
  readonly maxHead: DefaultedOption<number>;
  readonly maxBody: DefaultedOption<number>;
  readonly maxUnreadBodies: ValueOption<number>;
  readonly cacheSize: DefaultedOption<number>;
  readonly maxStreams: DefaultedOption<number>;
  readonly maxConnections: DefaultedOption<number>;
  readonly maxConnectionsPerAddress: DefaultedOption<number>;
  readonly maxResets: DefaultedOption<number>;
  readonly maxControlFrames: DefaultedOption<number>;
  readonly memory: DefaultedOption<number>;
  readonly heartbeatLimit: DefaultedOption<number>;
  readonly cpuLimit: DefaultedOption<number>;
  readonly timeLimit: DefaultedOption<number>;
  readonly mappingShare: DefaultedOption<number>;
  readonly maxLog: DefaultedOption<number>;
}

export const LIMIT_OPTIONS: LimitOptions = {
  idleTimeout: timeout(
    'idle-timeout',
    DEFAULT_LIMITS.idleTimeoutMs,
    'close a connection that has no open request for this long',
  ),
  handshakeTimeout: timeout(
    'handshake-timeout',
    DEFAULT_LIMITS.handshakeTimeoutMs,
    'time a client has for the TLS handshake',
  ),
  headTimeout: timeout(
    'head-timeout',
    DEFAULT_LIMITS.headTimeoutMs,
    'time from the first byte of a request head to its last',
  ),
  stallTimeout: timeout(
    'stall-timeout',
    DEFAULT_LIMITS.stallTimeoutMs,
    'cut a request whose client neither sends nor reads for this long',
  ),
  drainTimeout: defaulted({
    ...timeout(
      'drain-timeout',
      DEFAULT_LIMITS.drainTimeoutMs,
      'time open requests have to finish when the server is told to end',
    ),
    // 0 = cut them at once
    value: seconds(0, LIMIT_BOUNDS.timeoutMsMax),
  }),
  drainGrace: defaulted({
    ...timeout(
      'drain-grace',
      DEFAULT_LIMITS.drainGraceMs,
      'time idle connections have to ask once more when the server is told to end',
    ),
    // 0 = close them at once
    value: seconds(0, LIMIT_BOUNDS.timeoutMsMax),
  }),
  minBodyRate: defaulted({
    name: 'min-body-rate',
    argument: 'BYTES',
    value: integer(0, LIMIT_BOUNDS.bodyRateMax),
    default: DEFAULT_LIMITS.bodyRateMin,
    group: 'Limits',
    help: 'bytes a second of a request body that is waited for, after 20 s; 0 is no limit',
  }),
  maxHead: defaulted({
    name: 'max-head',
    argument: 'SIZE',
    value: size(LIMIT_BOUNDS.headBytesMin, LIMIT_BOUNDS.headBytesMax),
    default: DEFAULT_LIMITS.headBytesMax,
    group: 'Limits',
    help: 'size of a request head',
  }),
  maxBody: defaulted({
    name: 'max-body',
    argument: 'SIZE',
    value: sizeOrUnlimited(),
    default: DEFAULT_LIMITS.bodyBytesMax,
    group: 'Limits',
    help: 'size of a request body; 0 is no limit',
  }),
  maxUnreadBodies: {
    kind: 'value',
    name: 'max-unread-bodies',
    argument: 'SIZE',
    value: size(LIMIT_BOUNDS.unreadBodyBytesMin, LIMIT_BOUNDS.unreadBodyBytesMax),
    defaultText: 'a quarter of --memory for each script, at most 256M',
    group: 'Limits',
    help: 'memory of one worker for request bodies that nobody has read yet; clients wait when it is used up',
  },
  cacheSize: defaulted({
    name: 'cache-size',
    argument: 'SIZE',
    value: size(LIMIT_BOUNDS.cacheBytesMin, LIMIT_BOUNDS.cacheBytesMax),
    default: DEFAULT_LIMITS.cacheBytesMax,
    group: 'Limits',
    help: 'memory of one worker for answers that the cache keeps',
  }),
  maxStreams: defaulted({
    name: 'max-streams',
    argument: 'COUNT',
    value: integer(1, LIMIT_BOUNDS.streamsMax),
    default: DEFAULT_LIMITS.streamsMax,
    group: 'Limits',
    help: 'concurrent streams of one HTTP/2 connection',
  }),
  maxConnections: defaulted({
    name: 'max-connections',
    argument: 'COUNT',
    value: integer(1, LIMIT_BOUNDS.connectionsMax),
    default: DEFAULT_LIMITS.connectionsMax,
    group: 'Limits',
    help: 'open connections of one worker',
  }),
  maxConnectionsPerAddress: defaulted({
    name: 'max-connections-per-address',
    argument: 'COUNT',
    value: integer(1, LIMIT_BOUNDS.connectionsMax),
    default: DEFAULT_LIMITS.connectionsPerAddressMax,
    group: 'Limits',
    help: 'open connections of one worker from one IPv4 address, or from one IPv6 network of 64 bits',
  }),
  maxResets: defaulted({
    name: 'max-resets',
    argument: 'COUNT',
    value: integer(1, LIMIT_BOUNDS.framesPerSecondMax),
    default: DEFAULT_LIMITS.resetsPerSecond,
    group: 'Limits',
    help: 'streams of one HTTP/2 connection that its client may break off, per second',
  }),
  maxControlFrames: defaulted({
    name: 'max-control-frames',
    argument: 'COUNT',
    value: integer(1, LIMIT_BOUNDS.framesPerSecondMax),
    default: DEFAULT_LIMITS.controlFramesPerSecond,
    group: 'Limits',
    help: 'PING, SETTINGS, PRIORITY and the like on one HTTP/2 connection, per second',
  }),
  memory: defaulted({
    name: 'memory',
    argument: 'SIZE',
    value: size(LIMIT_BOUNDS.memoryBytesMin, LIMIT_BOUNDS.memoryBytesMax),
    default: DEFAULT_LIMITS.memoryBytesMax,
    group: 'Limits',
    help: 'memory of one Lua state (one script in one worker)',
  }),
  heartbeatLimit: defaulted({
    name: 'heartbeat-limit',
    argument: 'SECONDS',
    value: secondsOrUnlimited(LIMIT_BOUNDS.timeoutMsMax, LIMIT_BOUNDS.heartbeatMsMin),
    default: DEFAULT_LIMITS.heartbeatLimitMs,
    group: 'Limits',
    help: 'time a worker may be held up outside Lua before it is replaced; 0 is no limit',
  }),
  cpuLimit: defaulted({
    name: 'cpu-limit',
    argument: 'SECONDS',
    value: secondsOrUnlimited(LIMIT_BOUNDS.timeoutMsMax),
    default: DEFAULT_LIMITS.cpuLimitMs,
    group: 'Limits',
    help: 'processor time of one request in Lua, waits not counted; 0 is no limit',
  }),
  timeLimit: defaulted({
    name: 'time-limit',
    argument: 'SECONDS',
    value: secondsOrUnlimited(LIMIT_BOUNDS.timeoutMsMax),
    default: DEFAULT_LIMITS.timeLimitMs,
    group: 'Limits',
    help: 'time a handler may go on without moving a byte; 0 is no limit',
  }),
  mappingShare: defaulted({
    name: 'mapping-share',
    argument: 'PERCENT',
    value: integer(1, LIMIT_BOUNDS.percentMax),
    default: DEFAULT_LIMITS.mappingSharePercent,
    group: 'Limits',
    help: 'how much of what the others leave free one of several mappings may take of the files, processes, fetches, tasks, timers, subscriptions and messages of a worker',
  }),
  maxLog: defaulted({
    name: 'max-log',
    argument: 'SIZE',
    value: sizeOrUnlimited(),
    default: DEFAULT_LIMITS.logBytesPerSecond,
    group: 'Limits',
    help: 'what one mapping may write to the log per second in one worker, four times that at once; 0 is no limit',
  }),
};

function timeout(optionName: string, defaultMs: number, help: string): DefaultedOption<number> {
  return defaulted({
    name: optionName,
    argument: 'SECONDS',
    value: seconds(LIMIT_BOUNDS.timeoutMsMin, LIMIT_BOUNDS.timeoutMsMax),
    default: defaultMs,
    group: 'Limits',
    help,
  });
}
