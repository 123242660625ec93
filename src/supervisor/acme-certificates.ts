/** The certificates that an ACME server has signed for the workers of this gateway, and the answers to its challenges. */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { AcmeAuthority, ObtainedCertificate } from '../acme/acme-client.ts';
import { AcmeFleet } from '../acme/acme-fleet.ts';
import { AcmeFolder } from '../acme/acme-folder.ts';
import { AcmeKeeper, type KeeperOwner } from '../acme/acme-keeper.ts';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { readWholeFile } from '../base/open-file.ts';
import type { CertificateShare } from '../fleet/fleet.ts';
import type { AcmeSettings } from '../settings/acme-settings.ts';
import { namesOf } from '../tls/certificate-names.ts';
import type { ChallengeAnswer } from '../tls/challenge-answer.ts';
import { developmentCertificateFolders } from '../tls/development-certificate.ts';
import { makeCertificate } from '../tls/make-certificate.ts';
import type { TlsCertificate } from '../tls/tls-setup.ts';

const DAY_MS = 86_400_000;
/** Until the authority has signed, clients get one that nobody trusts: a handshake that fails tells them less. */
const TEMPORARY_DAYS = 30;
const TEMPORARY_ORGANIZATION = 'lgateway temporary certificate';

export class AcmeCertificates implements KeeperOwner {
  readonly #keeper: AcmeKeeper;
  /** By the first name of each. */
  readonly #byName = new Map<string, TlsCertificate>();
  #certificates: readonly TlsCertificate[] = [];
  #answers: readonly ChallengeAnswer[] = [];
  #give: () => Promise<void> = async () => undefined;

  /** Reads what the folder has; asks nobody. `share`: certificates are those of all machines. Errors: GatewayError LGW_ACME. */
  constructor(settings: AcmeSettings, logger: Logger, share: CertificateShare | undefined) {
    const authority = readAuthority(settings);
    const folder = new AcmeFolder(settings.folder ?? defaultFolder(), settings.directory);
    const { orders, challengeTypes, directory } = settings;
    const fleet = share && new AcmeFleet(share, directory, this, logger);
    this.#keeper = new AcmeKeeper({ authority, orders, challengeTypes }, folder, this, logger, fleet);
    for (const { names, certificate } of this.#keeper.kept())
      this.#keep(names, certificate ?? temporaryCertificate(names));
  }

  /** Those of this moment, in the order of the settings; the same list until one of them changes. */
  get certificates(): readonly TlsCertificate[] {
    return this.#certificates;
  }

  /** Those of this moment. */
  get answers(): readonly ChallengeAnswer[] {
    return this.#answers;
  }

  /** As AcmeKeeper. */
  async takeShared(): Promise<void> {
    await this.#keeper.takeShared();
  }

  /** From now on certificates are obtained and renewed. `give` resolves when the workers have what is here at that moment. */
  start(give: () => Promise<void>): void {
    this.#give = give;
    this.#keeper.start();
  }

  async stop(): Promise<void> {
    await this.#keeper.stop();
  }

  // ---- KeeperOwner ----

  async answer(answers: readonly ChallengeAnswer[]): Promise<void> {
    this.#answers = answers;
    await this.#give();
  }

  async install(names: readonly string[], certificate: ObtainedCertificate): Promise<void> {
    this.#keep(names, certificate);
    await this.#give();
  }

  #keep([first = '']: readonly string[], { certificate, key }: ObtainedCertificate): void {
    const names = namesOf(new X509Certificate(certificate));
    this.#byName.set(first, { certificate, key, keyKind: 'EC', names });
    this.#certificates = [...this.#byName.values()];
  }
}

function readAuthority({ directory, email, externalAccount, trustFile }: AcmeSettings): AcmeAuthority {
  return {
    directory,
    email,
    trust: trustFile === undefined ? undefined : readText(trustFile),
    externalAccount: externalAccount && {
      keyId: externalAccount.keyId,
      secret: Buffer.from(readText(externalAccount.keyFile).trim(), 'base64url'),
    },
  };
}

function readText(file: string): string {
  try {
    return readWholeFile(file);
  } catch (error) {
    throw new GatewayError('LGW_ACME', `Cannot read "${file}": ${messageOf(error)}`, { cause: error });
  }
}

/** Beside the development certificate. */
function defaultFolder(): string {
  const folder = developmentCertificateFolders().at(-1);
  if (folder === undefined)
    throw new GatewayError(
      'LGW_ACME',
      'There is no folder to keep certificates in: give one with --acme-folder',
    );
  return join(folder, 'acme');
}

function temporaryCertificate(names: readonly string[]): ObtainedCertificate {
  const now = Date.now();
  return makeCertificate({
    hostNames: names,
    addresses: [],
    organization: TEMPORARY_ORGANIZATION,
    notBefore: new Date(now - DAY_MS),
    notAfter: new Date(now + TEMPORARY_DAYS * DAY_MS),
  });
}
