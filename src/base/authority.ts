/** Hosts with an optional port, as Host, :authority and targets in absolute form have them (RFC 9110 §4.2, §7.2). */

const HOST: string = String.raw`(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+|\[(?:[0-9A-Fa-f:.]+|[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+)\]`;
const AUTHORITY: RegExp = new RegExp(`^(?:${HOST})(?::[0-9]{0,5})?$`);

/** True for a uri-host and port, without userinfo. */
export function isAuthority(value: string): boolean {
  return AUTHORITY.test(value);
}

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
