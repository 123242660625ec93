/** Certificate, key and ticket keys of all workers: read at the start and at each reload, watched until they expire. */
import { isDeepStrictEqual } from 'node:util';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import type { LevelLogger } from '../base/logger.ts';
import type { Config } from '../config/config.ts';
import { createTicketKeys, readTicketKeys } from '../tls/ticket-keys.ts';
import type { TlsSetup } from '../worker/messages.ts';
import { CertificateWatch } from './certificate-watch.ts';
import type { Handover } from './handover.ts';
import type { DevelopmentFacts, LoadedTls, loadTls } from './load-tls.ts';

/** What a reload found out about certificate and key. */
interface ReloadedTls {
  readonly tls: TlsSetup | undefined;
  /** Read anew. */
  readonly loaded?: LoadedTls;
  /** Why the present one stays. */
  readonly kept?: string;
}

type HandedTls = Pick<Handover, 'ticketKeys' | 'tls'>;

export class TlsKeeper {
  readonly #load: typeof loadTls;
  /** One set for all workers, all reloads and upgrades, so that any of them resumes a session of any other. */
  readonly #ticketKeys: Uint8Array;
  /** What the predecessor serves, where this user may not be able to read it again. */
  readonly #predecessor: LoadedTls | undefined;
  #used: LoadedTls | undefined;
  readonly #watch: CertificateWatch;
  #development: DevelopmentFacts | undefined;

  constructor(load: typeof loadTls, logger: LevelLogger, address: string | undefined, handover?: HandedTls) {
    this.#load = load;
    this.#ticketKeys = readTicketKeys(handover?.ticketKeys) ?? createTicketKeys();
    this.#predecessor = handover?.tls;
    this.#watch = new CertificateWatch(logger, address);
  }

  /** The certificate that the gateway made itself; undefined when it was given one, and before the first one is used. */
  get development(): DevelopmentFacts | undefined {
    return this.#development;
  }

  /** Reads certificate and key for the first time; `use` comes when they serve. */
  async read(config: Config): Promise<{ loaded: LoadedTls; tls: TlsSetup }> {
    const loaded = await this.#readOrKeep(config);
    const { certificate, key, development } = loaded;
    this.#development = development;
    return { loaded, tls: { certificate, key, ticketKeys: this.#ticketKeys } };
  }

  /** After `-u` the key may be out of reach for a successor, as it is for a reload. */
  async #readOrKeep({ certificateFiles, user }: Config): Promise<LoadedTls> {
    const kept = this.#predecessor;
    if (user === undefined || kept === undefined) return await this.#load(certificateFiles);
    if (certificateFiles === undefined && kept.development !== undefined) return kept;
    try {
      return await this.#load(certificateFiles);
    } catch (error) {
      const code = error instanceof GatewayError ? systemCodeOf(error.cause) : undefined;
      if (code !== 'EACCES' || certificateFiles?.certificate !== kept.certificateFile) throw error;
      return kept;
    }
  }

  /** What a successor needs: the ticket keys, and certificate and key where `user` may not read them again. */
  handover({ user }: Pick<Config, 'user'>): HandedTls {
    return {
      ticketKeys: Buffer.from(this.#ticketKeys).toString('base64'),
      tls: user === undefined ? undefined : this.#used,
    };
  }

  /** Reads them again. After `-u` the key may be out of reach; scripts must be reloadable all the same. */
  async reread(current: TlsSetup | undefined, before: Config, next: Config): Promise<ReloadedTls> {
    if (current === undefined) return { tls: undefined };
    const { certificateFiles, user } = next;
    const isSame = isDeepStrictEqual(certificateFiles, before.certificateFiles);
    if (isSame && this.#development !== undefined && user !== undefined)
      return { tls: current, kept: `user "${user}" would only make a development certificate of its own` };
    try {
      const loaded = await this.#load(certificateFiles);
      return { tls: { ...current, certificate: loaded.certificate, key: loaded.key }, loaded };
    } catch (error) {
      const code = error instanceof GatewayError ? systemCodeOf(error.cause) : undefined;
      if (user === undefined || code !== 'EACCES' || !isSame) throw error;
      return { tls: current, kept: `user "${user}" may not read it again: ${messageOf(error)}` };
    }
  }

  /** From now on the workers serve with it. */
  use(loaded: LoadedTls | undefined): void {
    if (loaded === undefined) return;
    this.#used = loaded;
    this.#development = loaded.development;
    this.#watch.watch({ certificate: loaded.certificate, file: loaded.certificateFile });
  }

  stop(): void {
    this.#watch.stop();
  }
}
