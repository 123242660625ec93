/** Keeps an OCSP response for each certificate that names an authority to ask: fetches, checks, renews at half of its life, drops at its end. */
import type { X509Certificate } from 'node:crypto';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { readChainText } from '../tls/certificate-warnings.ts';
import { stapleKey } from '../tls/staple-key.ts';
import { fetchOcsp } from './ocsp-fetch.ts';
import { readOcspResponse, showTime } from './ocsp-response.ts';
import { ocspUrlOf } from './ocsp-url.ts';

/** After a failure: the first wait, what each further failure multiplies it by, and the longest wait. */
const RETRY_MS = 60_000;
const RETRY_FACTOR = 3;
const RETRY_MAX_MS = 3_600_000;
/** Renewals come so much sooner or later, by chance, as a part of the time until then: not all gateways ask at once. */
const JITTER = 0.1;
/** No response is asked for again sooner, however short it lives. */
const RENEW_MIN_MS = 60_000;
/** The clock may be set meanwhile. */
const LOOK_MAX_MS = 3_600_000;

/** A certificate that is served. */
export interface StapledCertificate {
  /** PEM, the server's own first, then its issuer. */
  readonly certificate: string;
  /** For messages. */
  readonly name: string;
}

/** What tests replace. */
export interface OcspParts {
  readonly fetch: typeof fetchOcsp;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Calls once, later, and keeps no process from ending. */
  readonly later: (call: () => void, waitMs: number) => NodeJS.Timeout;
}

const PARTS: OcspParts = {
  fetch: fetchOcsp,
  now: Date.now,
  later: (call, waitMs) => setTimeout(call, waitMs).unref(),
};

interface Entry {
  readonly own: X509Certificate;
  readonly issuer: X509Certificate;
  readonly url: URL;
  readonly name: string;
  /** When it is asked for next, milliseconds since 1970. */
  dueAt: number;
  failures: number;
  response: { readonly bytes: Uint8Array; readonly nextUpdate: number } | undefined;
}

export class OcspKeeper {
  readonly #logger: Logger;
  readonly #parts: OcspParts;
  /** By `stapleKey`. */
  readonly #entries = new Map<string, Entry>();
  #staples: ReadonlyMap<string, Uint8Array> = new Map();
  #changed: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isAsking = false;
  readonly #stop = new AbortController();

  constructor(logger: Logger, parts: OcspParts = PARTS) {
    [this.#logger, this.#parts] = [logger, parts];
  }

  /** Those of this moment, by `stapleKey`; the same map until one of them changes. */
  get staples(): ReadonlyMap<string, Uint8Array> {
    return this.#staples;
  }

  /** From now on these are served. Responses of those that were served before stay. */
  use(certificates: readonly StapledCertificate[]): void {
    const before = new Map(this.#entries);
    this.#entries.clear();
    for (const { certificate, name } of certificates) {
      const key = stapleKey(certificate);
      const entry = before.get(key) ?? this.#entryOf(certificate, name);
      if (entry !== undefined) this.#entries.set(key, entry);
    }
    if ([...before.keys()].some((key) => !this.#entries.has(key))) this.#publish();
    this.#goOn();
  }

  /** From now on authorities are asked. `changed` hears when `staples` is another map. */
  start(changed: () => void): void {
    this.#changed = changed;
    this.#goOn();
  }

  stop(): void {
    this.#changed = undefined;
    this.#stop.abort();
    clearTimeout(this.#timer);
  }

  #entryOf(certificate: string, name: string): Entry | undefined {
    const [own, issuer] = readChainText(certificate);
    const url = own && ocspUrlOf(own);
    if (own === undefined || url === undefined) return undefined;
    if (issuer !== undefined && own.checkIssued(issuer) && own.verify(issuer.publicKey))
      return { own, issuer, url, name, dueAt: 0, failures: 0, response: undefined };
    this.#logger.warn(
      `No OCSP response is stapled for ${name}: the certificate of its issuer does not follow it in the file, and a response could not be checked`,
    );
    return undefined;
  }

  /** Drops what holds no more, asks for what is due, one after the other, and waits for what comes next. */
  #goOn(): void {
    clearTimeout(this.#timer);
    if (this.#changed === undefined || this.#isAsking) return;
    const now = this.#parts.now();
    const ended = [...this.#entries.values()].filter(
      ({ response }) => response !== undefined && response.nextUpdate <= now,
    );
    for (const entry of ended) {
      entry.response = undefined;
      this.#logger.warn(
        `The OCSP response for ${entry.name} holds no more, and none is stapled until another has come`,
      );
    }
    if (ended.length > 0) this.#publish();
    const due = [...this.#entries.values()].find(({ dueAt }) => dueAt <= now);
    if (due !== undefined) {
      void this.#ask(due);
      return;
    }
    const times = [...this.#entries.values()].flatMap(({ dueAt, response }) => [
      dueAt,
      response?.nextUpdate ?? dueAt,
    ]);
    if (times.length === 0) return;
    const waitMs = Math.min(LOOK_MAX_MS, Math.max(1, Math.min(...times) - now));
    this.#timer = this.#parts.later(() => this.#goOn(), waitMs);
  }

  /** Never rejects. */
  async #ask(entry: Entry): Promise<void> {
    this.#isAsking = true;
    try {
      await this.#renew(entry);
      entry.failures = 0;
    } catch (error) {
      const waitMs = Math.min(RETRY_MAX_MS, RETRY_MS * RETRY_FACTOR ** entry.failures);
      entry.failures += 1;
      entry.dueAt = this.#parts.now() + jittered(waitMs);
      if (!this.#stop.signal.aborted)
        this.#logger.warn(
          `${messageOf(error)}; this was for ${entry.name}, and is tried again in ${Math.round(waitMs / 1000)} s`,
        );
    }
    this.#isAsking = false;
    this.#goOn();
  }

  async #renew(entry: Entry): Promise<void> {
    const { own, issuer, url, name } = entry;
    // its package for ASN.1 would take a tenth of each start
    const { ocspRequest } = await import('./ocsp-request.ts');
    const bytes = await this.#parts.fetch(url, ocspRequest(own, issuer), this.#stop.signal);
    const now = this.#parts.now();
    const { state, nextUpdate } = readOcspResponse(bytes, own, issuer, now);
    entry.dueAt = now + Math.max(RENEW_MIN_MS, jittered((nextUpdate - now) / 2));
    if (state === 'good') {
      entry.response = { bytes: new Uint8Array(bytes), nextUpdate };
      this.#logger.info(`An OCSP response is stapled for ${name} until ${showTime(nextUpdate)}`);
    } else {
      // clients that ask the authority themselves refuse the certificate either way
      entry.response = undefined;
      this.#logger.error(
        `The authority at ${url.host} says that the certificate of ${name} is ${state}: nothing is stapled for it`,
      );
    }
    this.#publish();
  }

  #publish(): void {
    this.#staples = new Map(
      [...this.#entries].flatMap(([key, { response }]) =>
        response === undefined ? [] : [[key, response.bytes] as const],
      ),
    );
    this.#changed?.();
  }
}

function jittered(ms: number): number {
  return ms * (1 - JITTER + 2 * JITTER * Math.random());
}
