/** Reads the host of `-l HOST/PREFIX SCRIPT`, and tells it from the first segment of a path. */
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { comparableHost } from '../base/host-name.ts';

/** Hosts that mappings may name: each has a table of its own in each worker, and whoever has more has a handler that looks. */
export const HOSTS_MAX = 256;

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const ALL_BELOW = '*.';

/** What stands before a path prefix, as it was written; undefined where there is nothing but a path. */
export interface HostedPrefix {
  readonly host: string | undefined;
  readonly prefix: string;
}

/**
 * Splits `example.com/app`. A prefix may lack the `/` in front, as ever (`app/`), so a host is what only a host looks like: `localhost`,
 * or text before a `/` that has a dot, a port, a bracket or a star. `v1.0/` and `.well-known/` stay paths.
 */
export function splitHost(text: string): HostedPrefix {
  const slash = text.indexOf('/');
  const first = text.slice(0, Math.max(slash, 0));
  return looksLikeHost(first)
    ? { host: first, prefix: text.slice(slash) }
    : { host: undefined, prefix: text };
}

function looksLikeHost(text: string): boolean {
  if (/^(?:\[|\*\.)|:\d*$/.test(text) || text.toLowerCase() === 'localhost' || isAddress(text)) return true;
  return /^[^.].*\./s.test(text) && !/\.\d+$/.test(text);
}

/** Without a colon the pattern of IPv6 is not asked: the engine compiles it for 10 ms when it first is, and each start would wait for that. */
function isAddress(text: string): boolean {
  return text.includes(':') ? isIPv6(text) : isIPv4(text);
}

/** The host in the form in which it is compared; `fault` says what is wrong with it. */
export function readHost(text: string): { readonly host: string } | { readonly fault: string } {
  const isWide = text.startsWith(ALL_BELOW);
  const given = isWide ? text.slice(ALL_BELOW.length) : text;
  if (isAddress(given) && given.includes(':') && !isWide)
    return { fault: `an IPv6 address stands in brackets, [${given}]` };
  if (/:\d*$/.test(given)) return { fault: 'it has a port, and a mapping counts for all ports' };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: whatever is not ASCII
  if (/[^\x00-\x7f]/.test(given)) {
    const ascii = domainToASCII(given);
    return { fault: ascii === '' ? NO_HOST : `clients write it as ${JSON.stringify(ascii)}` };
  }
  const host = comparableHost(given);
  if (host === undefined) return { fault: NO_HOST };
  const isOfAddress = host.startsWith('[') || isAddress(host);
  if (isOfAddress) return isWide ? { fault: 'an address has no names below it' } : { host };
  const labels = host.split('.');
  if (!labels.every((label) => LABEL.test(label)) || /^\d+$/.test(labels.at(-1) ?? ''))
    return { fault: NO_HOST };
  return { host: isWide ? ALL_BELOW + host : host };
}

const NO_HOST = 'it has to be a name, *.NAME for all names below it, or an address';
