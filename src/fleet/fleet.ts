/** What this process has in common with the gateways of other machines: one connection to the store, beside those of the workers for dictionaries. */
import { randomBytes } from 'node:crypto';
import type { Logger } from '../base/logger.ts';
import { showStoreAddress } from '../base/store-address.ts';
import type { InterestTable } from '../events/interest-table.ts';
import type { StoreSettings } from '../settings/store-settings.ts';
import { openStore } from '../store/open-store.ts';
import type { StoreClient } from '../store/store-client.ts';
import { StoreLog } from '../store/store-log.ts';
import { ID_DIGITS } from './event-batch.ts';
import { EventRelay, relayChannels } from './event-relay.ts';
import { FleetChannel } from './fleet-channel.ts';
import { Leases } from './leases.ts';
import { SealedEntries } from './sealed-entries.ts';
import { type PurgeTable, purgeChannel, SharedPurges } from './shared-purges.ts';
import { type SharedTicketOptions, SharedTickets } from './shared-tickets.ts';

export interface FleetOptions {
  readonly store: Pick<StoreSettings, 'address' | 'ca'>;
  readonly logger: Logger;
  /** Who has subscribed to what, and the relay's number among the threads. */
  readonly interest: InterestTable;
  readonly thread: number;
  /** What was purged from the caches of all machines. */
  readonly purges: PurgeTable;
  /** Of what the machines seal; undefined: they have no secret in common. */
  readonly secret?: string | undefined;
  /** Certificates of an ACME server are those of all machines. */
  readonly sharesCertificates?: boolean;
}

/** What one machine needs to have certificates in common with the others. */
export interface CertificateShare {
  readonly entries: SealedEntries;
  readonly leases: Leases;
  readonly channel: FleetChannel;
  /** Of this process: 16 hexadecimal digits. */
  readonly id: string;
}

export class Fleet {
  readonly relay: EventRelay;
  readonly leases: Leases;
  readonly purges: SharedPurges;
  /** Undefined: this machine has its own certificates. */
  readonly certificates: CertificateShare | undefined;
  readonly #entries: SealedEntries | undefined;
  readonly #client: StoreClient;
  readonly #log: StoreLog;
  #connections = 0;
  #tickets: SharedTickets | undefined;

  /** Begins to connect, and goes on trying until `close`. */
  constructor({ store, logger, interest, thread, purges, secret, sharesCertificates = false }: FleetOptions) {
    const { address, ca } = store;
    const place = showStoreAddress(address);
    const channels = relayChannels(address.database, address.kind === 'cluster');
    const ofPurges = purgeChannel(address.database);
    const ofCertificates = `lg:events:${address.database}:acme`;
    const further = sharesCertificates && secret !== undefined ? [ofPurges, ofCertificates] : [ofPurges];
    this.#log = new StoreLog(
      place,
      'Messages reach this machine only, and timers with `once` do not run',
      logger,
      () => undefined,
    );
    this.#client = openStore({
      address,
      tls: address.tls ? { ca } : undefined,
      watcher: {
        connected: () => {
          this.#connections += 1;
          this.certificates?.channel.connected();
        },
        available: (server) => {
          this.#log.available(server);
          // what was purged meanwhile, and what could not be told
          this.purges.ask();
        },
        away: (reason, isConfiguration) => this.#log.away(reason, isConfiguration),
        invalidated: () => undefined,
        untracked: () => undefined,
      },
      messages: {
        channels: [...channels, ...further],
        received: (channel, bytes) => {
          if (channel === ofPurges) this.purges.received(bytes);
          else if (channel === ofCertificates) this.certificates?.channel.received(bytes);
          else this.relay.received(bytes);
        },
        refused: (reason) =>
          logger.error(
            `Store ${place} refuses the channels of httpd.publish: ${reason}. Messages of other machines do not come. ` +
              'Its user needs the rights for &lg:events:*, and a cluster Redis 7.0',
          ),
      },
    });
    this.leases = new Leases(this.#client);
    this.purges = new SharedPurges({ client: this.#client, channel: ofPurges, table: purges, logger });
    const id = randomBytes(ID_DIGITS / 2).toString('hex');
    this.relay = new EventRelay({ id, thread, interest }, this.#client, channels);
    this.#entries = secret === undefined ? undefined : new SealedEntries(this.#client, secret);
    this.certificates =
      this.#entries === undefined || !sharesCertificates
        ? undefined
        : {
            entries: this.#entries,
            leases: this.leases,
            channel: new FleetChannel(ofCertificates, this.#client),
            id,
          };
  }

  /** Why the store does not answer; undefined: nothing speaks against it. */
  get fault(): string | undefined {
    return this.#log.fault;
  }

  /** Connections that were opened so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Has the keys of session tickets in common with the other machines, where they have a secret. */
  shareTickets(options: Omit<SharedTicketOptions, 'entries'>): void {
    if (this.#entries === undefined) return;
    this.#tickets ??= new SharedTickets({ ...options, entries: this.#entries });
    this.#tickets.start();
  }

  close(): void {
    this.#tickets?.stop();
    this.purges.close();
    this.relay.close();
    this.#client.close();
  }
}
