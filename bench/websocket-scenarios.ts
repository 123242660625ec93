/** The scenarios of WebSockets. */
import { idleWebsockets, websocketEcho } from './measures/websockets.ts';
import { EACH, MESSAGE_US, MESSAGES, PLAIN_KIB, WEBSOCKET_KIB } from './metrics.ts';
import type { Scenario } from './scenario.ts';

const ECHO_CONNECTIONS = 100;
const ECHO_BYTES = 64;

export const WEBSOCKET_SCENARIOS: readonly Scenario[] = [
  {
    name: 'websocket-echo',
    title: 'WebSocket echo of 64 bytes, HTTP/1.1 over TLS, 100 connections; ws alone beside it',
    handler: 'websocket-echo',
    measure: websocketEcho(ECHO_CONNECTIONS, ECHO_BYTES),
    metrics: [MESSAGE_US, MESSAGES],
    thresholds: [
      {
        metric: 'cpuUs',
        bound: 'at most',
        // as many messages for each second of processor time as 0.8 × those of ws
        value: 1.25,
        of: 'ws',
        goal: 'WebSocket echo of 64 bytes, CPU beside plain ws',
      },
    ],
  },
  {
    name: 'websocket-idle',
    title:
      'idle WebSockets, ten for each connection of the other idle scenarios, beyond idle connections without TLS',
    handler: 'websocket-echo',
    peers: ['lgateway', 'against'],
    measure: idleWebsockets,
    metrics: [EACH, PLAIN_KIB, WEBSOCKET_KIB],
    thresholds: [
      {
        metric: 'kibEach',
        bound: 'at most',
        value: 12,
        goal: 'idle WebSocket, KiB beyond its connection',
      },
    ],
    roundsMax: 2,
  },
];
