/** Starts a gateway of worker threads inside another program. */

import type { Config } from '../config/config.ts';
import { withMappings } from '../config/ready-made-mappings.ts';
import type { EventSubscription } from '../events/event-subscription.ts';
import type { SubscriptionOptions } from '../events/text-events.ts';
import { compileLuaModule } from '../lua/wasm-module.ts';
import type { CounterName } from '../metrics/worker-metrics.ts';
import type { UpstreamView } from '../proxy/upstreams/upstream-view.ts';
import { openLogger } from '../settings/log-settings.ts';
import type { SharedDictionary } from '../shared/shared-dictionary.ts';
import type { BoundAddress, ListenNames } from '../supervisor/listeners.ts';
import { LogSink } from '../supervisor/log-sink.ts';
import type { MappingUse } from '../supervisor/mapping-uses.ts';
import { Supervisor } from '../supervisor/supervisor.ts';
import {
  changeConfig,
  completeConfig,
  type GatewayChanges,
  type GatewayOptions,
  type Listening,
  tlsWith,
} from './gateway-options.ts';

/** A gateway that serves. */
export interface Gateway {
  /** Where it accepts connections; empty once it drains. */
  readonly addresses: readonly BoundAddress[];
  /** Where its admin listener is: `http://127.0.0.1:9443` or `unix:/PATH`; undefined: it has none. */
  readonly adminAddress: string | undefined;
  /**
   * Reads scripts, modules and certificate again, and takes the changed options; all workers go over to them at once and
   * no request is lost. Limits and rights that are not named stay as they are. Rejects with a GatewayError when anything is
   * wrong with them, with a RestartNeededError where options need a restart, and then nothing has changed.
   */
  reload(changes?: GatewayChanges): Promise<void>;
  /**
   * Refuses new connections and resolves when all open exchanges have ended (true), or when
   * `limits.drainTimeoutMs` has passed (false). Call `stop` next.
   */
  drain(): Promise<boolean>;
  /** Ends all threads; open exchanges are cut. The port is free when it resolves. */
  stop(): Promise<void>;
  /**
   * The dictionary that scripts know as `httpd.shared(name)`. Throws RangeError for what is no name, and GatewayError
   * (`luaCode` limit) when too many were opened that are not in `GatewayOptions.shared`.
   */
  shared(name: string): SharedDictionary;
  /**
   * Gives the message to all who have subscribed to the channel, in all workers and in this program; returns how many those of this program
   * are. A text goes as UTF-8. Throws GatewayError (`luaCode` limit) for what is too long.
   */
  publish(channel: string, message: string | Uint8Array): number;
  /** Subscribes to channels, until the subscription is closed or the gateway stopped. */
  subscribe(channels: string | readonly string[], options?: SubscriptionOptions): EventSubscription;
  /** What each worker counts at this moment. */
  counters(): Readonly<Record<CounterName, number>>[];
  /** What each mapping of a script uses in each worker at this moment. */
  mappingCounters(): MappingUse[];
  /** The servers behind proxies that a mapping names or that requests have gone to lately, as all workers know them. */
  upstreams(): UpstreamView[];
}

const DEFAULT_PORT = 8443;
const LISTEN_NAMES: ListenNames = { https: 'option "listen"', http: 'option "cleartext"' };

/**
 * Starts a gateway in this process; resolves when every worker serves. Rejects with a GatewayError (a port in use, an
 * unreadable key, a script that fails), and then nothing is left behind. Installs no signal handlers.
 */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const { listen, workers, cleartext } = options;
  const address = { address: listen?.address, port: listen?.port ?? DEFAULT_PORT };
  const config = completeConfig(options, { tls: tlsWith(options), listen: address, cleartext }, workers);
  const supervisor = createSupervisor(withMappings(config), options.log, LISTEN_NAMES);
  await supervisor.start();
  return {
    get addresses(): readonly BoundAddress[] {
      return supervisor.addresses;
    },
    get adminAddress(): string | undefined {
      return supervisor.adminAddress;
    },
    reload: async (changes = {}) => {
      await supervisor.reload((current) =>
        withMappings(changeConfig(current, changes, changedListening(current, changes), changes.workers)),
      );
    },
    drain: () => supervisor.drain(),
    stop: () => supervisor.stop(),
    shared: (name) => supervisor.shared(name),
    publish: (channel, message) => supervisor.events.publish(channel, message),
    subscribe: (channels, options) => supervisor.events.subscribe(channels, options),
    counters: () => supervisor.counters(),
    mappingCounters: () => supervisor.mappingCounters(),
    upstreams: () => supervisor.upstreams(),
  };
}

function changedListening(current: Config, changes: GatewayChanges): Partial<Listening> {
  const { listen, cleartext } = changes;
  return {
    tls: tlsWith(changes, current.tls),
    ...(cleartext === undefined ? {} : { cleartext }),
    ...(listen === undefined || current.listen === undefined
      ? {}
      : { listen: { ...current.listen, ...listen } }),
  };
}

/** A supervisor that has not started, with the log of an embedding program. */
export function createSupervisor(
  config: Config,
  log: ((line: string) => void) | undefined,
  listenNames: ListenNames,
): Supervisor {
  const writeLine = log ?? new LogSink().write;
  return new Supervisor({
    config,
    logger: openLogger(config, 'supervisor', writeLine),
    writeLine,
    listenNames,
    compileLua: (memoryBytesMax) => compileLuaModule({ memoryBytesMax }),
  });
}
