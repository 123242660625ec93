/** Finds the sockets that the process was started with (systemd's protocol, sd_listen_fds(3)) and their schemes. */
import { GatewayError } from '../base/errors.ts';
import type { InheritedSocket } from '../config/config.ts';
import type { HandedSocket } from './handover.ts';

/** The first descriptor behind standard input, output and error. */
export const FIRST_DESCRIPTOR = 3;
/** The most listeners: a higher number is a mistake. */
const SOCKETS_MAX = 64;

/** What was found; the variables are gone from the environment then. */
export interface Inheritance {
  readonly sockets: readonly InheritedSocket[];
  /** Something an operator should know. */
  readonly notice?: string;
}

/**
 * Reads LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES and removes them, so that no program started from here takes them for
 * its own. A socket named `http` is cleartext and one named `https` is TLS; others are of `defaultScheme`. Sockets for
 * another process are none. Errors: LGW_SOCKETS.
 */
export function takeInheritedSockets(
  environment: NodeJS.ProcessEnv,
  pid: number,
  defaultScheme: InheritedSocket['scheme'],
): Inheritance {
  const { LISTEN_FDS: count, LISTEN_PID: owner, LISTEN_FDNAMES: names } = environment;
  for (const name of ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES']) delete environment[name];
  if (count === undefined) return { sockets: [] };
  if (owner !== undefined && owner !== String(pid))
    return {
      sockets: [],
      notice: `LISTEN_PID is ${JSON.stringify(owner)} and this process is ${pid}: the sockets of LISTEN_FDS are not for it`,
    };
  if (!/^[0-9]{1,4}$/.test(count) || Number(count) > SOCKETS_MAX)
    throw new GatewayError(
      'LGW_SOCKETS',
      `LISTEN_FDS is ${JSON.stringify(count)} and has to be a number of sockets from 0 to ${SOCKETS_MAX}`,
    );
  const schemes = names?.split(':').map((name) => schemeOf(name, defaultScheme)) ?? [];
  if (names !== undefined && count !== '0' && schemes.length !== Number(count))
    throw new GatewayError(
      'LGW_SOCKETS',
      `LISTEN_FDNAMES ${JSON.stringify(names)} has ${schemes.length} names and LISTEN_FDS is ${count}`,
    );
  const sockets = Array.from({ length: Number(count) }, (_, i) => ({
    descriptor: FIRST_DESCRIPTOR + i,
    scheme: schemes[i] ?? defaultScheme,
  }));
  return { sockets };
}

/** Those that a predecessor has handed over, which follow one another. */
export function handedSockets(sockets: readonly HandedSocket[]): readonly InheritedSocket[] {
  return sockets.map((socket, i) => ({ ...socket, descriptor: FIRST_DESCRIPTOR + i }));
}

/** Makes these variables for a process that gets the descriptors, without LISTEN_PID. */
export function inheritedVariables(sockets: readonly InheritedSocket[]): Readonly<Record<string, string>> {
  if (sockets.length === 0) return {};
  return {
    LISTEN_FDS: String(sockets.length),
    LISTEN_FDNAMES: sockets.map(({ scheme }) => scheme).join(':'),
  };
}

function schemeOf(name: string, defaultScheme: InheritedSocket['scheme']): InheritedSocket['scheme'] {
  return name === 'http' || name === 'https' ? name : defaultScheme;
}
