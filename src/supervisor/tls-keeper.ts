/** Certificates, keys and ticket keys of all workers: read at the start and at each reload, watched until they expire. */

import { X509Certificate } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import type { LevelLogger, Logger } from '../base/logger.ts';
import type { CertificateFiles, Config } from '../config/config.ts';
import type { CertificateShare } from '../fleet/fleet.ts';
import { OcspKeeper } from '../ocsp/ocsp-keeper.ts';
import type { AcmeSettings } from '../settings/acme-settings.ts';
import { outOfTime } from '../tls/certificate-warnings.ts';
import { readTicketKeys, showTicketKeys, TicketKeyRing } from '../tls/ticket-keys.ts';
import type { TlsSetup } from '../tls/tls-setup.ts';
import type { AcmeCertificates } from './acme-certificates.ts';
import { CertificateWatch } from './certificate-watch.ts';
import type { Handover } from './handover.ts';
import { type DevelopmentFacts, type LoadedTls, loadClients, loadTls } from './load-tls.ts';

/** What a reload found out about certificates and keys. */
interface ReloadedTls {
  readonly tls: TlsSetup | undefined;
  /** Read anew. */
  readonly loaded?: LoadedTls;
  /** Why the present ones stay. */
  readonly kept?: string;
}

type HandedTls = Pick<Handover, 'ticketKeys' | 'tls'>;

export interface TlsKeeperOptions {
  /** Says where is listened, and whether OCSP responses are fetched. */
  readonly config: Pick<Config, 'listen' | 'tls'>;
  readonly logger: LevelLogger;
  readonly loadTls?: typeof loadTls;
  /** Default: an hour. */
  readonly ticketPeriodMs?: number;
  readonly predecessor?: { readonly handover: HandedTls } | undefined;
}

export class TlsKeeper {
  readonly #load: typeof loadTls;
  /** For all workers, reloads and upgrades, so that any of them resumes a session of any other. */
  readonly #tickets: TicketKeyRing;
  /** What the predecessor serves, where this user may not be able to read it again. */
  readonly #predecessor: LoadedTls | undefined;
  #used: LoadedTls | undefined;
  readonly #watch: CertificateWatch;
  #development: DevelopmentFacts | undefined;
  #acme: AcmeCertificates | undefined;
  readonly #ocsp: OcspKeeper | undefined;

  constructor({ config, logger, loadTls: load = loadTls, ticketPeriodMs, predecessor }: TlsKeeperOptions) {
    const handover = predecessor?.handover;
    this.#load = load;
    this.#tickets = new TicketKeyRing(ticketPeriodMs, readTicketKeys(handover?.ticketKeys));
    this.#predecessor = handover?.tls;
    this.#watch = new CertificateWatch(logger, config.listen?.address);
    this.#ocsp = config.tls.ocsp === true ? new OcspKeeper(logger) : undefined;
  }

  /** The certificate that the gateway made itself; undefined when it was given one, and before the first one is used. */
  get development(): DevelopmentFacts | undefined {
    return this.#development;
  }

  /** Reads certificates and keys for the first time; `use` comes when they serve. */
  async read(config: Config): Promise<{ loaded: LoadedTls; tls: TlsSetup }> {
    const loaded = await this.#readOrKeep(config);
    this.#development = loaded.development;
    return { loaded, tls: this.#setupOf(loaded, config) };
  }

  /** After `-u` the keys may be out of reach for a successor, as they are for a reload. */
  async #readOrKeep(config: Config): Promise<LoadedTls> {
    const kept = this.#predecessor;
    const { certificates } = config.tls;
    if (config.user === undefined || kept === undefined) return await this.#load(config);
    // the listeners may be others now, and so what their clients have to show
    const keep = (): LoadedTls => ({ ...kept, clients: loadClients(config) });
    if (certificates.length === 0 && kept.development !== undefined) return keep();
    try {
      return await this.#load(config);
    } catch (error) {
      const code = error instanceof GatewayError ? systemCodeOf(error.cause) : undefined;
      const isSame = isDeepStrictEqual(
        certificates.map(({ certificate }) => certificate),
        kept.certificates.map(({ file }) => file),
      );
      if (code !== 'EACCES' || !isSame) throw error;
      return keep();
    }
  }

  /** What a successor needs: the ticket keys, and certificates and keys where `user` may not read them again. */
  handover({ user }: Pick<Config, 'user'>): HandedTls {
    return {
      ticketKeys: showTicketKeys(this.#tickets.keys),
      tls: user === undefined ? undefined : this.#used,
    };
  }

  /** Reads them again. After `-u` the keys may be out of reach; scripts must be reloadable all the same. */
  async reread(current: TlsSetup | undefined, before: Config, next: Config): Promise<ReloadedTls> {
    if (current === undefined) return { tls: undefined };
    const { user } = next;
    const { strictSni, profile } = next.tls;
    const kept = this.present({ ...current, strictSni, profile });
    const isSame = isDeepStrictEqual(filesOf(next), filesOf(before));
    if (isSame && this.#development !== undefined && user !== undefined)
      return { tls: kept, kept: `user "${user}" would only make a development certificate of its own` };
    try {
      const loaded = await this.#load(next);
      refuseOutOfTime(loaded, current);
      return { tls: this.present(this.#setupOf(loaded, next)), loaded };
    } catch (error) {
      const code = error instanceof GatewayError ? systemCodeOf(error.cause) : undefined;
      if (user === undefined || code !== 'EACCES' || !isSame) throw error;
      return { tls: kept, kept: `user "${user}" may not read it again: ${messageOf(error)}` };
    }
  }

  /** From now on the workers serve with it. */
  use(loaded: LoadedTls | undefined): void {
    if (loaded === undefined) return;
    this.#used = loaded;
    this.#development = loaded.development;
    this.#watch.watch(loaded.certificates);
    this.#stapleAll();
  }

  /** From now on ticket keys rotate and certificates are renewed. `give` resolves when the workers have what `present` says. */
  start(give: () => Promise<void>): void {
    this.#tickets.start(() => void give());
    this.#ocsp?.start(() => void give());
    this.#acme?.start(async () => {
      this.#stapleAll();
      await give();
    });
  }

  /**
   * Reads the certificates that an ACME server has signed, with the rights of the user that renews them, and takes those of other machines. Errors:
   * GatewayError.
   */
  async openAcme(
    settings: AcmeSettings | undefined,
    logger: Logger,
    share: CertificateShare | undefined,
  ): Promise<void> {
    if (settings === undefined) return;
    // with ASN.1 and its own client of HTTP it would take a tenth of each start
    const { AcmeCertificates } = await import('./acme-certificates.ts');
    this.#acme = new AcmeCertificates(settings, logger, share);
    await this.#acme.takeShared();
  }

  /** With the ticket keys, the obtained certificates and the answers of this moment; the same object where it has them. */
  present(tls: TlsSetup): TlsSetup {
    const ticketKeys = this.#tickets.keys;
    const obtained = this.#acme?.certificates;
    const challenges = this.#acme?.answers;
    const staples = this.#ocsp?.staples;
    const isPresent =
      tls.ticketKeys === ticketKeys &&
      tls.obtained === obtained &&
      tls.challenges === challenges &&
      tls.staples === staples;
    return isPresent ? tls : { ...tls, ticketKeys, obtained, challenges, staples };
  }

  /** Ticket keys that other machines have, too. They serve from now on. */
  adoptTickets(keys: readonly Uint8Array[]): void {
    this.#tickets.adopt(keys);
  }

  async stop(): Promise<void> {
    this.#tickets.stop();
    this.#watch.stop();
    this.#ocsp?.stop();
    await this.#acme?.stop();
  }

  /** Responses are for all certificates that serve now. */
  #stapleAll(): void {
    if (this.#ocsp === undefined) return;
    const given = this.#used?.certificates ?? [];
    const obtained = this.#acme?.certificates ?? [];
    this.#ocsp.use([
      ...given.map(({ certificate, file }) => ({ certificate, name: `"${file}"` })),
      ...obtained.map(({ certificate, names }) => ({ certificate, name: names.join(', ') })),
    ]);
  }

  #setupOf({ certificates, clients }: LoadedTls, { tls: { strictSni, profile } }: Config): TlsSetup {
    return {
      certificates: certificates.map(({ certificate, key, keyKind, names }) => ({
        certificate,
        key,
        keyKind,
        names,
      })),
      ticketKeys: this.#tickets.keys,
      clients,
      strictSni,
      profile,
    };
  }
}

/** What is read, without the places in the configuration file that name it. */
function filesOf({ tls, listen, furtherListeners }: Config): unknown {
  const certificates = tls.certificates.map(({ at: _place, ...files }: CertificateFiles) => files);
  return [certificates, listen?.client, furtherListeners?.map(({ client }) => client)];
}

/** A certificate that no client takes does not come in the place of one that clients may take. */
function refuseOutOfTime({ certificates }: LoadedTls, current: TlsSetup): void {
  for (const { certificate, file, at } of certificates) {
    if (current.certificates.some((known) => known.certificate === certificate)) continue;
    const reason = outOfTime(new X509Certificate(certificate), Date.now());
    if (reason === undefined) continue;
    const place = at === undefined ? '' : `${at}: `;
    throw new GatewayError('LGW_CERTIFICATE_TIME', `${place}The new certificate in "${file}" ${reason}`);
  }
}
