/** A machine of a fleet as far as certificates are concerned: a keeper with a folder, a connection to the store and a server that answers challenges. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ObtainedCertificate } from '../../src/acme/acme-client.ts';
import { AcmeFleet } from '../../src/acme/acme-fleet.ts';
import { AcmeFolder } from '../../src/acme/acme-folder.ts';
import { AcmeKeeper, type KeeperSettings } from '../../src/acme/acme-keeper.ts';
import { SharedRecords } from '../../src/acme/shared-records.ts';
import { createLogger } from '../../src/base/logger.ts';
import { FleetChannel } from '../../src/fleet/fleet-channel.ts';
import { Leases } from '../../src/fleet/leases.ts';
import { SealedEntries } from '../../src/fleet/sealed-entries.ts';
import type { ChallengeAnswer } from '../../src/tls/challenge-answer.ts';
import { type ChallengeServer, startChallengeServer } from './challenge-server.ts';
import type { Pebble } from './pebble-server.ts';
import { patientClient, TestStore } from './test-store.ts';

export const FLEET_SECRET: string = 's'.repeat(32);
const CHANNEL = 'lg:events:0:acme';
/** So long that a busy machine does not lose one that it holds. */
const LONG = { leaseMs: 50_000, renewMs: 10_000 };

let lastId = 0;

/** A balancer. */
export class Front {
  readonly server: Server;
  /** The machine that the next connection goes to. */
  choose: () => AcmeMachine | undefined = () => undefined;
  readonly reached: AcmeMachine[] = [];

  constructor(portOf: (machine: AcmeMachine) => number) {
    this.server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      const machine = this.choose();
      if (machine === undefined) return void socket.destroy();
      this.reached.push(machine);
      const behind: Socket = connect(portOf(machine), '127.0.0.1');
      behind.on('error', () => socket.destroy());
      socket.pipe(behind).pipe(socket);
    });
  }

  async listen(): Promise<number> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }
}

export interface AcmeMachineOptions {
  readonly names: readonly string[];
  /** Of the store. */
  readonly address: string;
  readonly pebble: Pebble;
  readonly secret?: string;
  /** False: calls of the store wait no longer than those of a gateway. */
  readonly isPatient?: boolean;
  readonly settings?: Partial<KeeperSettings>;
  /** What its folder has. */
  readonly kept?: ObtainedCertificate;
}

/** Counts how often another machine had the lease. */
class CountedLeases extends Leases {
  refusals = 0;

  override take(...[name, ageMs, done, lost]: Parameters<Leases['take']>): void {
    const counted: typeof done = (outcome) => {
      if (outcome === 'held') this.refusals += 1;
      done(outcome);
    };
    super.take(name, ageMs, counted, lost);
  }
}

export class AcmeMachine {
  readonly names: readonly string[];
  readonly path: string = mkdtempSync(join(tmpdir(), 'lgateway-acme-fleet-'));
  readonly store: TestStore;
  readonly host: ChallengeServer;
  readonly folder: AcmeFolder;
  readonly keeper: AcmeKeeper;
  readonly installed: ObtainedCertificate[] = [];
  readonly log: string[] = [];
  readonly records: SharedRecords;
  readonly leases: CountedLeases;
  readonly channel: FleetChannel;
  /** Runs, and is waited for, before the workers give these answers. */
  answering: (answers: readonly ChallengeAnswer[]) => Promise<void> | void = () => undefined;

  private constructor(options: AcmeMachineOptions, host: ChallengeServer) {
    const { names, address, pebble, secret = FLEET_SECRET, settings, kept } = options;
    this.names = names;
    this.host = host;
    this.store = new TestStore(address, undefined, {
      channels: [CHANNEL],
      received: (_channel, bytes) => this.channel?.received(bytes),
      refused: (reason) => this.log.push(reason),
    });
    const client = (options.isPatient ?? true) ? patientClient(this.store.client) : this.store.client;
    this.channel = new FleetChannel(CHANNEL, client);
    this.leases = new CountedLeases(client, LONG);
    lastId += 1;
    const share = {
      entries: new SealedEntries(client, secret),
      leases: this.leases,
      channel: this.channel,
      id: lastId.toString(16).padStart(16, '0'),
    };
    const logger = createLogger('debug', 'acme', (line) => this.log.push(line));
    const directory = settings?.authority?.directory ?? pebble.directory;
    this.folder = new AcmeFolder(this.path, directory);
    this.records = new SharedRecords(share.entries, directory);
    if (kept !== undefined) this.folder.write(names, kept);
    const authority = { directory, trust: pebble.trust, email: undefined, externalAccount: undefined };
    this.keeper = new AcmeKeeper(
      { authority, orders: [names], challengeTypes: ['tls-alpn-01'], ...settings },
      this.folder,
      this,
      logger,
      new AcmeFleet(share, directory, this, logger),
    );
  }

  static async start(options: AcmeMachineOptions): Promise<AcmeMachine> {
    return new AcmeMachine(options, await startChallengeServer());
  }

  async answer(answers: readonly ChallengeAnswer[]): Promise<void> {
    await this.answering(answers);
    await this.host.answer(answers);
  }

  install(_names: readonly string[], certificate: ObtainedCertificate): Promise<void> {
    this.installed.push(certificate);
    return Promise.resolve();
  }

  has(pattern: RegExp): boolean {
    return this.log.some((line) => pattern.test(line));
  }

  get asked(): boolean {
    return this.has(/Obtaining a certificate/);
  }

  async stop(): Promise<void> {
    await this.keeper.stop();
    this.store.close();
    await this.host.stop();
    rmSync(this.path, { recursive: true, force: true });
  }
}
