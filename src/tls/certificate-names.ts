/** The hosts that a certificate is for, and which certificates a host gets. */
import type { X509Certificate } from 'node:crypto';
import { comparableHost } from '../base/host-name.ts';

/** Names of one certificate; browsers bear some hundred. */
const NAMES_MAX = 1000;
const ALL_BELOW = '*.';

/** As `comparableHost` writes them, perhaps with `*.` before them; from subjectAltName alone (RFC 9525 §6.3). */
export function namesOf(certificate: X509Certificate): string[] {
  const names = new Set<string>();
  for (const [, kind, name = ''] of (certificate.subjectAltName ?? '').matchAll(ENTRY)) {
    if (names.size === NAMES_MAX) break;
    const host =
      kind === 'DNS' ? comparableName(name) : comparableHost(name.includes(':') ? `[${name}]` : name);
    if (host !== undefined) names.add(host);
  }
  return [...names];
}

/** Entries that hold anything else stand in quotation marks. */
const ENTRY = /(?:^|, )(DNS|IP Address):([^",\s]+)(?=,|$)/g;

function comparableName(name: string): string | undefined {
  if (!name.startsWith(ALL_BELOW)) return comparableHost(name);
  const below = comparableHost(name.slice(ALL_BELOW.length));
  return below === undefined ? undefined : ALL_BELOW + below;
}

/** What the table has for a host: for its name, else for the name with a star in the place of its first label (RFC 9525 §6.3). */
export function findByHost<T>(table: ReadonlyMap<string, T>, host: string): T | undefined {
  const exact = table.get(host);
  if (exact !== undefined || host.startsWith('[')) return exact;
  const dot = host.indexOf('.');
  return dot <= 0 ? undefined : table.get(`*${host.slice(dot)}`);
}
