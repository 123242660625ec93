/** One certificate that the gateway is to have, and where its renewal stands. */
import { createHash } from 'node:crypto';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { ObtainedCertificate } from './acme-client.ts';
import type { AcmeFolder } from './acme-folder.ts';
import { renewalTime } from './renewal-time.ts';

export interface Order {
  readonly names: readonly string[];
  /** From 0 to 1, and the same at each start and on each machine. */
  readonly chance: number;
  certificate: ObtainedCertificate | undefined;
  failures: number;
  /** Milliseconds since 1970. */
  dueAt: number;
  /** When the authority was last asked for a time of renewal; milliseconds since 1970. */
  askedAt: number;
  /** Of the entry that the certificate was last compared with; undefined: with none. */
  stamp: string | undefined;
  /** Since when the store does not say what certificate the other machines have: milliseconds of `performance.now()`; undefined: it does. */
  unsharedSince: number | undefined;
}

/** What an order needs to have its certificate served, and kept for the next start. */
export interface OrderOwner {
  readonly folder: AcmeFolder;
  readonly install: (names: readonly string[], certificate: ObtainedCertificate) => Promise<void>;
  readonly logger: Logger;
}

/**
 * Has the certificate served, and renewed when its life says so. One that the folder cannot keep serves nevertheless: an authority gives few of them. Rejects as
 * `install`.
 */
export async function takeCertificate(
  order: Order,
  certificate: ObtainedCertificate,
  { folder, install, logger }: OrderOwner,
): Promise<void> {
  try {
    // first, so that a process that ends now has it at its next start
    folder.write(order.names, certificate);
  } catch (error) {
    logger.error(messageOf(error));
  }
  await install(order.names, certificate);
  order.certificate = certificate;
  order.failures = 0;
  order.dueAt = renewalTime(certificate.certificate, order.chance);
}

/** With the certificate that the folder has. */
export function readKeptOrder(folder: AcmeFolder, names: readonly string[]): Order {
  const chance = createHash('sha256').update(names.join(' ')).digest().readUInt32BE(0) / 2 ** 32;
  const certificate = folder.read(names);
  const dueAt = certificate === undefined ? 0 : renewalTime(certificate.certificate, chance);
  return {
    names,
    chance,
    certificate,
    failures: 0,
    dueAt,
    askedAt: 0,
    stamp: undefined,
    unsharedSince: undefined,
  };
}
