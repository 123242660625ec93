/** A context for handlers that no gateway calls: tests give requests to a router or handler without a connection. */
import type { Logger } from '../base/logger.ts';
import { EventHub } from '../events/event-hub.ts';
import { InterestTable } from '../events/interest-table.ts';
import { createEventShare, TextEvents } from '../events/text-events.ts';
import type { ConnectionInfo } from '../http/exchange/exchange.ts';
import { SharedDictionary } from '../shared/shared-dictionary.ts';
import { createSharedMemory } from '../shared/shared-memory.ts';
import { SharedStore } from '../shared/shared-store.ts';
import { asyncMemory } from './async-dictionary.ts';
import { checkedPurge, type HandlerContext, type RequestState } from './web-handler.ts';

const CONNECTION: ConnectionInfo = Object.freeze({
  peerAddress: '127.0.0.1',
  peerPort: 0,
  localAddress: '127.0.0.1',
  localPort: 0,
  tlsProtocol: undefined,
  tlsCipher: undefined,
  tlsServerName: undefined,
});

const SILENT: Logger = Object.freeze({
  level: 'error',
  error: ignore,
  warn: ignore,
  info: ignore,
  debug: ignore,
});

let store: SharedStore | undefined;
let events: TextEvents | undefined;

/** Channels of this thread, which all such contexts share as all requests of a gateway do. */
function openEvents(): TextEvents {
  events ??= new TextEvents(new EventHub(0, new InterestTable(1)), createEventShare('test'));
  return events;
}

/** The dictionaries of this thread, which all such contexts share as all requests of a gateway do. */
function openShared(name: string): SharedDictionary {
  store ??= new SharedStore({ memory: createSharedMemory([]), owner: 1 });
  return new SharedDictionary(store.open(name));
}

/**
 * A cleartext request of HTTP/1.1 from 127.0.0.1, a log that goes nowhere, and real dictionaries and channels of this thread;
 * `given` goes before.
 */
export function testContext<State extends object = RequestState>(
  given: Partial<HandlerContext<State>> = {},
): HandlerContext<State> {
  return {
    connection: CONNECTION,
    version: 'HTTP/1.1',
    prefix: '/',
    workerId: 0,
    logger: SILENT,
    // what the state has at first is nothing, as in a gateway
    state: Object.create(null) as State,
    shared: openShared,
    dictionary: (name) => asyncMemory(openShared(name)),
    publish: (channel, message) => openEvents().publish(channel, message),
    subscribe: (channels, options) => openEvents().subscribe(channels, options),
    ending: new AbortController().signal,
    timeLimitMs: Number.POSITIVE_INFINITY,
    upgradeWebSocket: () => {
      throw new TypeError('A WebSocket needs a connection, which a test context has not');
    },
    proxy: () =>
      Promise.reject(new TypeError('To pass a request on needs a connection, which a test context has not')),
    cached: () =>
      Promise.reject(new TypeError('A cached answer needs a connection, which a test context has not')),
    purge: (purge) => {
      checkedPurge(purge);
      return true;
    },
    ...given,
  };
}

function ignore(): void {}
