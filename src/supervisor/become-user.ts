/** Changes to the user of `-u`, keeps an opener for the files that only root may open, and warns at once of those that it will not open. */
import { accessSync, constants } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Config } from '../config/config.ts';
import { currentOpener, setCurrentOpener } from '../opener/current-opener.ts';
import type { NamedFile } from '../opener/opener-messages.ts';
import { RootOpener } from '../opener/root-opener.ts';
import { changeableFolder } from '../opener/safe-way.ts';
import { type Account, dropPrivileges, findAccount } from './privileges.ts';
import type { SupervisorOptions } from './supervisor-options.ts';

type FilesOf = Pick<Config, 'tls' | 'listen' | 'logFile' | 'accessLog' | 'logs'> &
  Partial<Pick<Config, 'furtherListeners' | 'acme' | 'storeFiles'>>;

/** Warnings come at the start, and not when the certificate has expired. `isTrial`: no opener is needed. Errors: LGW_USER. */
export function becomeUser(
  user: string,
  {
    config,
    configFile,
    logger,
  }: Pick<SupervisorOptions, 'config' | 'configFile'> & { readonly logger: Logger },
  isTrial = false,
): void {
  const account = findAccount(user);
  const files = namedFiles(config, configFile);
  const unsafe = startOpener(account, files, logger, isTrial);
  dropPrivileges(user, account);
  for (const file of files) {
    if (mayOpen(file)) continue;
    const reason = unsafe(file);
    if (reason === undefined) continue;
    logger.warn(
      file.kind === 'read'
        ? `User "${user}" cannot read "${file.path}"${reason}: a reload will keep what was read, and a new one needs a restart`
        : `User "${user}" cannot make files in "${dirname(file.path)}"${reason}: after a rotation the log goes on in the old file`,
    );
  }
  warnOfRotation(user, config, files, logger);
}

/** The socket of a predecessor's opener lies at `descriptor`. Errors: LGW_NATIVE_UNAVAILABLE, LGW_DESCRIPTOR. */
export function adoptHandedOpener(descriptor: number, files: readonly NamedFile[]): void {
  setCurrentOpener(RootOpener.adopt(descriptor, files, () => undefined));
}

/** What a reload, a renewal or a rotation of logs opens again, by absolute names. */
export function namedFiles(config: FilesOf, configFile: string | undefined): readonly NamedFile[] {
  const { tls, listen, furtherListeners = [], logFile, accessLog, logs, acme, storeFiles = [] } = config;
  const read = [
    configFile,
    ...tls.certificates.flatMap(({ certificate, key }) => [certificate, key]),
    ...[listen, ...furtherListeners].map((listener) => listener?.client?.ca),
    acme?.trustFile,
    acme?.externalAccount?.keyFile,
    ...storeFiles,
  ];
  const { accessTarget } = logs;
  const append = [logFile, accessLog && accessTarget.kind === 'file' ? accessTarget.path : undefined];
  const absolute = (names: readonly (string | undefined)[]): string[] => [
    ...new Set(names.flatMap((name) => (name === undefined ? [] : [resolve(name)]))),
  ];
  return [
    ...absolute(read).map((path) => ({ path, kind: 'read' as const })),
    ...absolute(append).map((path) => ({ path, kind: 'append' as const })),
  ];
}

/** Says of a file that the user cannot open why the opener will not, as the middle of a sentence; undefined: it will. */
type Unsafe = (file: NamedFile) => string | undefined;

function startOpener(
  account: Account,
  files: readonly NamedFile[],
  logger: Logger,
  isTrial: boolean,
): Unsafe {
  const handed = currentOpener();
  if (handed !== undefined) return ({ path }) => whyNotSeen(handed, path);
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || account.uid === 0) return () => '';
  const changeable = new Map(files.map((file) => [file, whyChangeable(file, account)]));
  try {
    const ended = (reason: string): void =>
      logger.error(
        `The process that opens files as root has ended (${reason}): what only root may read stays as it is, and logs go on in their files, until a restart`,
      );
    if (!isTrial) setCurrentOpener(RootOpener.start({ files, uid: account.uid, ended }));
    return (file) => changeable.get(file);
  } catch (error) {
    logger.warn(`No process can be kept that opens files as root: ${messageOf(error)}`);
    return () => '';
  }
}

function whyChangeable({ path }: NamedFile, { name, uid }: Account): string | undefined {
  try {
    const folder = changeableFolder(path, uid);
    return folder && `, which is not opened as root, because "${name}" may change the folder "${folder}"`;
  } catch (error) {
    return `, nor root (${messageOf(error)})`;
  }
}

function whyNotSeen(opener: RootOpener, path: string): string | undefined {
  try {
    opener.look(path);
    return undefined;
  } catch (error) {
    return `, and ${messageOf(error)}`;
  }
}

/** Old log files are renamed by this process alone. */
function warnOfRotation(
  user: string,
  { logs }: Pick<Config, 'logs'>,
  files: readonly NamedFile[],
  logger: Logger,
): void {
  if (logs.rotation === undefined) return;
  const folders = new Set(files.flatMap(({ path, kind }) => (kind === 'append' ? [dirname(path)] : [])));
  for (const folder of folders)
    if (!mayAccess(folder, constants.W_OK))
      logger.warn(`User "${user}" cannot rename files in "${folder}": --log-rotate begins no new file there`);
}

function mayOpen({ path, kind }: NamedFile): boolean {
  return kind === 'read' ? mayAccess(path, constants.R_OK) : mayAccess(dirname(path), constants.W_OK);
}

function mayAccess(file: string, mode: number): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}
