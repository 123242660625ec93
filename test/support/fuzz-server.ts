/**
 * A program: serves cleartext HTTP/2 with the sessions of node:http2, which some sequences of frames abort. Sends its port as a
 * message.
 */
import { type AddressInfo, createServer } from 'node:net';
import { createLogger } from '../../src/base/logger.ts';
import { BODY_GRACE_MS } from '../../src/http/exchange/body-rate.ts';
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import type { ExchangeSettings } from '../../src/http/exchange/exchange-wire.ts';
import { StallWatch } from '../../src/http/exchange/stall-watch.ts';
import { UnreadBodies } from '../../src/http/exchange/unread-bodies.ts';
import { chooseByFirstBytes } from '../../src/http/front/first-bytes.ts';
import { LINGER_LIMITS } from '../../src/http/h1/http1-linger.ts';
import { Http1Server } from '../../src/http/h1/http1-server.ts';
import { Dispatcher } from '../../src/http/routing/dispatcher.ts';
import { HostRouter } from '../../src/http/routing/host-router.ts';
import { Counters } from '../../src/metrics/worker-metrics.ts';
import { FUZZ_HANDLERS } from './fuzz-handlers.ts';
import { Http2Server } from './h2-node/http2-server.ts';
import { testCompression } from './test-compression.ts';
import { functionMapping, TEST_LIMITS } from './test-front-end.ts';

const SWEEP_INTERVAL_MS = 100;

const counters = new Counters();
const logger = createLogger('error', 'oracle', () => undefined);
const stalls = new StallWatch(TEST_LIMITS.stallTimeoutMs);
const settings: ExchangeSettings = {
  logger,
  counters,
  bodyBytesMax: TEST_LIMITS.bodyBytesMax,
  patience: { stalls, bodyRate: { bytesPerSecondMin: 0, graceMs: BODY_GRACE_MS } },
  unreadBodies: new UnreadBodies(TEST_LIMITS.unreadBodyBytesMax, counters, logger),
  compression: testCompression(),
  observers: [],
};
const dispatcher = new Dispatcher(new HostRouter([functionMapping('/', FUZZ_HANDLERS)]), logger);
const handle = (exchange: Exchange): void => dispatcher.dispatch(exchange);
const http1 = new Http1Server({ ...TEST_LIMITS, linger: LINGER_LIMITS }, settings, handle);
const http2 = new Http2Server(TEST_LIMITS, settings, handle);

const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
  socket.on('error', () => undefined);
  const chosen = (protocol: string): void => (protocol === 'h2' ? http2 : http1).serve(socket);
  chooseByFirstBytes(socket, false, chosen, () => undefined);
});
setInterval(() => {
  const now = performance.now();
  stalls.sweep(now);
  http1.sweep(now);
  http2.sweep(now);
}, SWEEP_INTERVAL_MS);
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('message', () => process.send?.('alive'));
process.on('disconnect', () => process.exit(0));
