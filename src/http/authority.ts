/** Compares the names under which a request knows this server (RFC 9110 §4.2.3, §7.2). */

/** True when both name the same host and port: case does not count, nor the scheme's own port, nor an empty one. */
export function isSameAuthority(a: string, b: string, scheme: string): boolean {
  return a === b || normalise(a, scheme) === normalise(b, scheme);
}

function normalise(authority: string, scheme: string): string {
  const lower = authority.toLowerCase();
  const port = DEFAULT_PORTS.get(scheme.toLowerCase());
  if (lower.endsWith(':')) return lower.slice(0, -1);
  return port !== undefined && lower.endsWith(port) ? lower.slice(0, -port.length) : lower;
}

const DEFAULT_PORTS: ReadonlyMap<string, string> = new Map([
  ['https', ':443'],
  ['http', ':80'],
]);
