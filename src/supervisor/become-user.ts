/** Changes to the user of `-u`, and warns at once of files that a reload needs and this user cannot read. */
import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from '../base/logger.ts';
import type { Config } from '../config/config.ts';
import { dropPrivileges } from './privileges.ts';

/** The warning comes at the start, and not when the certificate has expired. */
export function becomeUser(
  user: string,
  {
    tls,
    listen,
    furtherListeners = [],
    logFile,
    accessLog,
    logs,
  }: Pick<Config, 'tls' | 'listen' | 'furtherListeners' | 'logFile' | 'accessLog' | 'logs'>,
  logger: Logger,
): void {
  dropPrivileges(user);
  const authorities = [listen, ...furtherListeners].flatMap((listener) => listener?.client?.ca ?? []);
  for (const file of [
    ...tls.certificates.flatMap(({ certificate, key }) => [certificate, key]),
    ...authorities,
  ]) {
    if (mayAccess(file, constants.R_OK)) continue;
    logger.warn(
      `User "${user}" cannot read "${file}": a reload will keep the certificate as it is, and a new one needs a restart`,
    );
  }
  const { accessTarget } = logs;
  const accessFile = accessLog && accessTarget.kind === 'file' ? accessTarget.path : undefined;
  for (const file of [logFile, accessFile]) {
    if (file === undefined || mayAccess(dirname(file), constants.W_OK)) continue;
    logger.warn(
      `User "${user}" cannot make files in "${dirname(file)}": after a rotation the log goes on in the old file`,
    );
  }
}

function mayAccess(file: string, mode: number): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}
