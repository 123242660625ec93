/** Warns of faults of the certificates that are served: when they are set, and once a day after that. */
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { certificateWarnings, readChainText } from '../tls/certificate-warnings.ts';

const DAY_MS = 86_400_000;

export interface ServedCertificate {
  /** PEM, the server's own first. */
  readonly certificate: string;
  /** Where it was read. */
  readonly file: string;
}

export class CertificateWatch {
  readonly #logger: Logger;
  readonly #address: string | undefined;
  readonly #intervalMs: number;
  #served: readonly ServedCertificate[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** `address`: the one that is listened on; undefined for all. */
  constructor(logger: Logger, address: string | undefined, intervalMs: number = DAY_MS) {
    this.#logger = logger;
    this.#address = address;
    this.#intervalMs = intervalMs;
  }

  /** Sets the certificates that are served from now on. */
  watch(served: readonly ServedCertificate[]): void {
    this.#served = served;
    this.#look();
    this.#timer ??= setInterval(() => this.#look(), this.#intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    for (const { certificate, file } of this.#served) {
      try {
        const chain = readChainText(certificate);
        // further ones are for clients that come by a name
        const address = file === this.#served[0]?.file ? this.#address : undefined;
        for (const warning of certificateWarnings(chain, file, Date.now(), address))
          this.#logger.warn(warning);
      } catch (error) {
        this.#logger.warn(`The certificate in "${file}" cannot be looked at: ${messageOf(error)}`);
      }
    }
  }
}
