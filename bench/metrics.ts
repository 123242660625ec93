/** What scenarios measure: the key in the results, the words of the table, and how rounds become one figure. */
import type { Metric } from './scenario.ts';

export const CPU_US: Metric = { key: 'cpuUs', label: 'CPU µs/request', digits: 1, combine: 'median' };
export const CPU_EACH_US: Metric = {
  key: 'cpuEachUs',
  label: 'CPU µs/subscriber',
  digits: 2,
  combine: 'median',
};
export const REQUESTS: Metric = {
  key: 'requestsPerSecond',
  label: 'requests/s',
  digits: 0,
  combine: 'median',
};
export const HELLO_CPU_US: Metric = { key: 'helloCpuUs', label: 'handler µs', digits: 1, combine: 'median' };
export const TIMES_HELLO: Metric = { key: 'timesHello', label: '× handler', digits: 2, combine: 'median' };
export const MEMORY_US: Metric = { key: 'memoryCpuUs', label: 'Lua memory µs', digits: 1, combine: 'median' };
export const TIMES_MEMORY: Metric = {
  key: 'timesMemory',
  label: '× Lua memory',
  digits: 2,
  combine: 'median',
};
export const SPEED: Metric = { key: 'mibPerSecond', label: 'MiB/s', digits: 0, combine: 'median' };
export const CPU_MS: Metric = { key: 'cpuMs', label: 'CPU ms', digits: 0, combine: 'median' };
export const GROWTH: Metric = { key: 'growthMib', label: 'RSS growth MiB', digits: 1, combine: 'max' };
export const READ: Metric = { key: 'readMib', label: 'client read MiB', digits: 1, combine: 'median' };
export const RATIO: Metric = { key: 'ratio', label: '× 64 KiB reads', digits: 2, combine: 'median' };
export const TIMES_UPLOAD: Metric = {
  key: 'timesUpload',
  label: '× plain upload',
  digits: 2,
  combine: 'median',
};
export const SECONDS: Metric = { key: 'seconds', label: 'seconds', digits: 2, combine: 'median' };
export const TIMES_BARE: Metric = { key: 'timesBare', label: '× node -e 0', digits: 2, combine: 'median' };
export const READY: Metric = { key: 'readyMs', label: 'ms to first answer', digits: 0, combine: 'median' };
export const EACH: Metric = { key: 'kibEach', label: 'KiB/connection', digits: 1, combine: 'median' };
export const P99: Metric = { key: 'p99Ms', label: 'p99 ms', digits: 2, combine: 'median' };
export const MEDIAN: Metric = { key: 'medianMs', label: 'median ms', digits: 2, combine: 'median' };
export const STATE: Metric = { key: 'stateMs', label: 'ms/state', digits: 1, combine: 'median' };
export const COMPILE: Metric = { key: 'compileMs', label: 'ms to compile', digits: 1, combine: 'median' };
export const UNGUARDED: Metric = {
  key: 'timesUnguarded',
  label: 'worst × unguarded',
  digits: 2,
  combine: 'median',
};
export const WASMOON: Metric = {
  key: 'timesWasmoon',
  label: 'worst × wasmoon',
  digits: 2,
  combine: 'median',
};

export const ALONE: Metric = { key: 'aloneUs', label: 'µs alone', digits: 2, combine: 'median' };
export const TOGETHER: Metric = { key: 'togetherUs', label: 'µs with two', digits: 2, combine: 'median' };

export const TIMES_ONE: Metric = { key: 'timesOne', label: '× one pattern', digits: 2, combine: 'median' };
export const PLAIN_US: Metric = { key: 'plainUs', label: 'plain name µs', digits: 1, combine: 'median' };
export const UNOBSERVED_US: Metric = {
  key: 'unobservedUs',
  label: 'neither, µs',
  digits: 2,
  combine: 'median',
};
export const METRICS_US: Metric = {
  key: 'metricsUs',
  label: 'metrics alone, µs',
  digits: 2,
  combine: 'median',
};
export const TIMES_UNOBSERVED: Metric = {
  key: 'timesUnobserved',
  label: '× neither',
  digits: 2,
  combine: 'median',
};
export const METRICS_TIMES_UNOBSERVED: Metric = {
  key: 'metricsTimesUnobserved',
  label: 'metrics alone × neither',
  digits: 2,
  combine: 'median',
};
export const TIMES_PLAIN: Metric = {
  key: 'timesPlain',
  label: 'plain name × one pattern',
  digits: 2,
  combine: 'median',
};
export const TIMES_ZLIB: Metric = { key: 'timesZlib', label: '× node:zlib', digits: 2, combine: 'median' };
export const ZLIB_US: Metric = { key: 'zlibUs', label: 'µs node:zlib', digits: 0, combine: 'median' };

export const HMAC: Metric = { key: 'hmacUs', label: 'µs/hmac', digits: 2, combine: 'median' };

export const SAME_HEAD: Metric = { key: 'sameNs', label: 'ns/same head', digits: 0, combine: 'median' };
export const OTHER_PATH: Metric = {
  key: 'otherPathNs',
  label: 'ns/other path',
  digits: 0,
  combine: 'median',
};
export const TIMES_HPACK_JS: Metric = {
  key: 'timesHpackJs',
  label: '× hpack.js',
  digits: 2,
  combine: 'median',
};
export const RESPONSE_HEAD: Metric = {
  key: 'responseNs',
  label: 'ns/response head',
  digits: 0,
  combine: 'median',
};

export const LUA_US: Metric = { key: 'luaUs', label: 'httpd.proxy µs', digits: 1, combine: 'median' };
export const LUA_TIMES_HELLO: Metric = {
  key: 'luaTimesHello',
  label: '× handler',
  digits: 2,
  combine: 'median',
};
export const FETCH_US: Metric = { key: 'fetchUs', label: 'fetch µs', digits: 1, combine: 'median' };
export const TIMES_FETCH: Metric = { key: 'timesFetch', label: '× fetch', digits: 2, combine: 'median' };
export const UP_SPEED: Metric = { key: 'upMibPerSecond', label: 'up MiB/s', digits: 0, combine: 'median' };
export const UP_CPU_MS: Metric = { key: 'upCpuMs', label: 'up CPU ms', digits: 0, combine: 'median' };

export const FULL_US: Metric = { key: 'fullUs', label: 'CPU µs full', digits: 0, combine: 'median' };
export const RESUMED_US: Metric = {
  key: 'resumedUs',
  label: 'CPU µs resumed',
  digits: 0,
  combine: 'median',
};

export const MESSAGE_US: Metric = { key: 'cpuUs', label: 'CPU µs/message', digits: 1, combine: 'median' };
export const MESSAGES: Metric = {
  key: 'requestsPerSecond',
  label: 'messages/s',
  digits: 0,
  combine: 'median',
};
export const PLAIN_KIB: Metric = { key: 'plainKib', label: 'plain KiB', digits: 1, combine: 'median' };
export const WEBSOCKET_KIB: Metric = {
  key: 'websocketKib',
  label: 'with WebSocket KiB',
  digits: 1,
  combine: 'median',
};

export const GET_US: Metric = { key: 'getUs', label: 'CPU µs/get', digits: 1, combine: 'median' };
export const INCR_US: Metric = { key: 'incrUs', label: 'CPU µs/incr', digits: 1, combine: 'median' };
export const COMMANDS_PER_READ: Metric = {
  key: 'commandsPerRead',
  label: 'commands/read',
  digits: 1,
  combine: 'median',
};
export const NEAR_TIMES_MEMORY: Metric = {
  key: 'nearTimesMemory',
  label: 'near × memory',
  digits: 2,
  combine: 'median',
};
export const TIMES_KEYS: Metric = { key: 'timesKeys', label: '× few keys', digits: 2, combine: 'median' };
export const TIMES_DICTIONARIES: Metric = {
  key: 'timesDictionaries',
  label: '× one dictionary',
  digits: 2,
  combine: 'median',
};
export const MEMORY_INCR_US: Metric = { key: 'memoryUs', label: 'memory µs', digits: 1, combine: 'median' };
export const STORE_TIMES_MEMORY: Metric = {
  key: 'storeTimesMemory',
  label: '× memory',
  digits: 2,
  combine: 'median',
};
