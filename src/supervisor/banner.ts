/** Makes the text for the terminal when the gateway serves: its addresses, its scripts and how to reach it. */
import type { Logger } from '../base/logger.ts';
import type { MappingConfig } from '../config/config.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { formatAddress } from './listener.ts';
import type { BoundAddress } from './listeners.ts';

export interface BannerFacts {
  readonly version: string;
  readonly addresses: readonly BoundAddress[];
  readonly workerCount: number;
  readonly mappings: readonly MappingConfig[];
  /** The certificate that the gateway made itself; undefined when it was given one. */
  readonly development: { readonly certificateFile: string; readonly fingerprint: string } | undefined;
  /** Something the operator should know, one sentence each. */
  readonly notes: readonly string[];
}

/** Some lines, each with its line end. */
export function gatewayBanner(facts: BannerFacts): string {
  const urls = facts.addresses.map(urlOf);
  const workers = facts.workerCount === 1 ? '1 worker' : `${facts.workerCount} workers`;
  const width = Math.max(...facts.mappings.map((mapping) => mappingName(mapping).length));
  const lines = [
    `lgateway ${facts.version} serves ${urls.join(' and ')} with ${workers}`,
    ...facts.mappings.map(
      (mapping) =>
        `  ${mappingName(mapping).padEnd(width)}  ${mapping.script}${mapping.mode === undefined ? '' : ` (${mapping.mode})`}`,
    ),
  ];
  if (facts.development !== undefined) {
    const { certificateFile, fingerprint } = facts.development;
    lines.push(
      `Development certificate ${certificateFile}`,
      `  SHA-256 ${fingerprint}`,
      `  curl --cacert ${quoteForShell(certificateFile)} ${urls[0]}`,
    );
  }
  lines.push(...facts.notes);
  // last, so that no list of scripts and no log line stands between it and the prompt
  if (urls[0] !== undefined) lines.push(`Open ${urls[0]}`);
  return lines.map((line) => `${line}\n`).join('');
}

/** One line of the log for each address that is served. */
export function logAddresses(
  { addresses, workerCount: workers }: Pick<BannerFacts, 'addresses' | 'workerCount'>,
  logger: Logger,
): void {
  for (const { scheme, address, port } of addresses)
    logger.info(`Listening on ${scheme}://${formatAddress(address, port)}`, { workers, pid: process.pid });
}

/** `https://localhost:8443/` for all addresses, else with the address itself. */
function urlOf({ scheme, address, port }: BoundAddress): string {
  const host = address === '::' || address === '0.0.0.0' ? 'localhost' : address;
  return `${scheme}://${formatAddress(host, port)}/`;
}

function quoteForShell(word: string): string {
  return /^[\w./@%+=:,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
