/** Warns of faults of the certificate that is served: when it is set, and once a day after that. */
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
  #served: ServedCertificate | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `address`: the one that is listened on; undefined for all. */
  constructor(logger: Logger, address: string | undefined, intervalMs: number = DAY_MS) {
    this.#logger = logger;
    this.#address = address;
    this.#intervalMs = intervalMs;
  }

  /** Sets the certificate that is served from now on. */
  watch(served: ServedCertificate): void {
    this.#served = served;
    this.#look();
    this.#timer ??= setInterval(() => this.#look(), this.#intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    if (this.#served === undefined) return;
    const { certificate, file } = this.#served;
    try {
      const chain = readChainText(certificate);
      for (const warning of certificateWarnings(chain, file, Date.now(), this.#address))
        this.#logger.warn(warning);
    } catch (error) {
      this.#logger.warn(`The certificate in "${file}" cannot be looked at: ${messageOf(error)}`);
    }
  }
}
