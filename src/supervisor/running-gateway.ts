/** The gateway that runs already, for commands that ask something of it: over its admin listener, or by a signal to the process of its pid file. */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { basename } from 'node:path';
import { readToken } from '../admin/admin-token.ts';
import { type AdminAddress, authorityOf, showAdminAddress } from '../base/admin-address.ts';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import { adminTokenPath } from './admin-listener.ts';
import { outcomePath, readOutcomes } from './outcome-file.ts';
import { isAlive, readPid } from './pid-file.ts';

/** Longer than an upgrade takes that is given up. */
const ANSWER_TIMEOUT_MS = 90_000;
/** Time between two looks for an outcome. */
const LOOK_MS = 50;
/** Characters of an answer: a line for each fault of a configuration. */
const ANSWER_MAX: number = 1024 * 1024;

/** What can be asked of a gateway, and the signal that asks for the same. */
export const ORDER_SIGNALS = { reload: 'SIGHUP', upgrade: 'SIGUSR2', drain: 'SIGTERM' } as const;
export type Order = keyof typeof ORDER_SIGNALS;

export interface OrderAnswer {
  readonly ok: boolean;
  /** Without line ends. */
  readonly lines: readonly string[];
}

/** Resolves to what the gateway has answered. Errors: LGW_ADMIN_TOKEN, LGW_NO_GATEWAY. */
export async function orderByAdmin(
  order: Order,
  address: AdminAddress,
  config: Pick<Config, 'adminTokenFile' | 'pidFile'>,
): Promise<OrderAnswer> {
  const { adminTokenFile } = config;
  const token =
    address.kind === 'unix' && adminTokenFile === undefined
      ? undefined
      : readToken(adminTokenFile ?? adminTokenPath(config, address.kind === 'tcp' ? address.port : 0));
  const where =
    address.kind === 'unix' ? { socketPath: address.path } : { host: address.address, port: address.port };
  const headers = {
    host: address.kind === 'unix' ? 'localhost' : authorityOf(address.address, address.port),
    'content-length': '0',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  return await new Promise((resolve, reject) => {
    const fail = (error: unknown): void =>
      reject(
        new GatewayError(
          'LGW_NO_GATEWAY',
          `No gateway answers at ${showAdminAddress(address)}: ${messageOf(error)}`,
          {
            cause: error,
          },
        ),
      );
    const call = request(
      { ...where, path: `/${order}`, method: 'POST', headers, agent: false },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
          if (text.length > ANSWER_MAX)
            call.destroy(new Error(`its answer is longer than ${ANSWER_MAX} characters`));
        });
        response.on('error', fail).on('end', () => {
          const { statusCode = 0 } = response;
          resolve({ ok: statusCode >= 200 && statusCode < 300, lines: text.trimEnd().split('\n') });
        });
      },
    );
    call.setTimeout(ANSWER_TIMEOUT_MS, () =>
      call.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`)),
    );
    call.on('error', fail).end();
  });
}

/**
 * Sends the signal to the process of a pid file, and waits for what it writes of the outcome beside that. Resolves to what has come of it, or
 * to the id of the process where only its log says that: a drain, and a gateway that cannot write there. Errors: LGW_NO_GATEWAY.
 */
export async function orderBySignal(order: Order, pidFile: string): Promise<OrderAnswer | number> {
  const path = outcomePath(pidFile);
  const before = order === 'drain' ? undefined : readOutcomes(path);
  const pid = signalByFile(order, pidFile);
  if (order === 'drain' || before?.pid !== pid) return pid;
  const end = performance.now() + ANSWER_TIMEOUT_MS;
  while (performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const now = readPid(pidFile);
    const { [order]: outcome, pid: writer } = readOutcomes(path) ?? {};
    // one that began before the signal answers somebody else
    if (writer === pid && outcome !== undefined && outcome.number > before.begun) return outcome;
    if (order === 'upgrade' && now !== undefined && now !== pid && isAlive(now))
      return { ok: true, lines: [`Upgraded: process ${now} serves, and process ${pid} drains`] };
    if (!isAlive(pid) || (now !== undefined && now !== pid))
      throw new GatewayError('LGW_NO_GATEWAY', `Process ${pid} has ended, and has not said what came of it`);
  }
  throw new GatewayError(
    'LGW_NO_GATEWAY',
    `Process ${pid} has not said within ${ANSWER_TIMEOUT_MS / 1000} s what came of it; its log may`,
  );
}

/** Returns the id of the process. */
function signalByFile(order: Order, pidFile: string): number {
  const pid = readPid(pidFile);
  if (pid === undefined || !isAlive(pid))
    throw new GatewayError('LGW_NO_GATEWAY', `The pid file "${pidFile}" names no running process`);
  const program = programOf(pid);
  // a file that was left behind may name another program now, which the signal would end
  if (program !== undefined && program !== basename(process.execPath))
    throw new GatewayError(
      'LGW_NO_GATEWAY',
      `Process ${pid} of the pid file "${pidFile}" is no gateway but "${program}"`,
    );
  try {
    process.kill(pid, ORDER_SIGNALS[order]);
    return pid;
  } catch (error) {
    throw new GatewayError('LGW_NO_GATEWAY', `Cannot signal process ${pid}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Undefined where the system does not tell. */
function programOf(pid: number): string | undefined {
  try {
    return basename(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] ?? '');
  } catch {
    return undefined;
  }
}
