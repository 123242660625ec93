/** Keeps the certificate for a gateway that was given none: makes it once, uses it again, and renews it before it expires. */
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { homedir, hostname } from 'node:os';
import { isAbsolute, join, sep } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import { PACKAGE_ROOT } from '../base/package-info.ts';
import type { CertificateAndKey } from './make-certificate.ts';

export interface DevelopmentCertificate extends CertificateAndKey {
  /** SHA-256 of the certificate, as browsers show it (`AB:CD:…`). */
  readonly fingerprint256: string;
  /** File to hand to `curl --cacert`. */
  readonly certificatePath: string;
}

export interface DevelopmentCertificateSettings {
  /** Folders to read the certificate from, and to write it to, in this order; default `developmentCertificateFolders()`. */
  readonly folders?: readonly string[];
  /** Name of this machine; default the system's. */
  readonly hostName?: string;
  /** The current time, in ms since 1970. */
  readonly now?: number;
}

const DAY_MS = 86_400_000;
/** Browsers refuse certificates that are valid for more than 398 days (CA/Browser Forum ballot SC31). */
const VALIDITY_DAYS = 397;
/** The certificate is valid from so long before now, for clients whose clock is behind. */
const BACKDATED_DAYS = 1;
const RENEW_BEFORE_DAYS = 30;
/** A failed attempt means that another process has just written the pair: several in a row have another cause. */
const STORE_ATTEMPTS_MAX = 8;

/** Certificate and key lie in a folder of their own, so that one rename puts both in place. */
const PAIR_FOLDER = 'development';
/** Beside the pair while an unusable one is removed. */
const LOCK_FOLDER = '.lock';
const LOCK_KEPT_MS = 60_000;
const LOCK_ASKED_MS = 10;
const CERTIFICATE_FILE = 'certificate.pem';
const KEY_FILE = 'key.pem';
const ORGANIZATION = 'lgateway development certificate';
const LOOPBACK_IPV4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK_IPV6 = Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? 1 : 0));

/**
 * Returns the certificate for localhost, 127.0.0.1, ::1 and the name of this machine; makes one when there is no usable one.
 * Processes that start at the same time all get the same pair. Throws GatewayError LGW_CERTIFICATE_STORE when no folder can be
 * written.
 */
export async function loadDevelopmentCertificate(
  settings: DevelopmentCertificateSettings = {},
): Promise<DevelopmentCertificate> {
  const folders = settings.folders ?? developmentCertificateFolders();
  const hostNames = certifiableHostNames(settings.hostName ?? hostname());
  const now = settings.now ?? Date.now();
  let made: CertificateAndKey | undefined;
  const failures: string[] = [];
  for (const folder of folders) {
    const kept = readPair(join(folder, PAIR_FOLDER), hostNames, now);
    if (kept !== undefined) return kept;
    made ??= await makePair(hostNames, now);
    try {
      return await storePair(folder, made, hostNames, now);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  throw new GatewayError(
    'LGW_CERTIFICATE_STORE',
    `Cannot keep a development certificate (${failures.join('; ') || 'no folder to keep it in'}): give one with -c and -k, or set XDG_DATA_HOME`,
  );
}

async function makePair(hostNames: readonly string[], now: number): Promise<CertificateAndKey> {
  // forge takes 40 ms to load, and only a new certificate needs it
  const { makeCertificate } = await import('./make-certificate.ts');
  return makeCertificate({
    hostNames,
    addresses: [LOOPBACK_IPV4, LOOPBACK_IPV6],
    organization: ORGANIZATION,
    notBefore: new Date(now - BACKDATED_DAYS * DAY_MS),
    notAfter: new Date(now + (VALIDITY_DAYS - BACKDATED_DAYS) * DAY_MS),
  });
}

/** `certs/` of a checkout (not of an installed package), then the user's data directory. */
export function developmentCertificateFolders(
  packageRoot: string = PACKAGE_ROOT,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string[] {
  const folders = packageRoot.split(sep).includes('node_modules') ? [] : [join(packageRoot, 'certs')];
  const dataHome = environment['XDG_DATA_HOME'] ?? '';
  // the XDG specification says to ignore relative paths
  if (isAbsolute(dataHome)) return [...folders, join(dataHome, 'lgateway')];
  const home = environment['HOME'] || homeOfAccount();
  return isAbsolute(home) ? [...folders, join(home, '.local', 'share', 'lgateway')] : folders;
}

/** Empty for a user id without an account, as in some containers. */
function homeOfAccount(): string {
  try {
    return homedir();
  } catch {
    return '';
  }
}

function certifiableHostNames(machine: string): string[] {
  const name = machine.toLowerCase();
  const isDnsName =
    /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/.test(name);
  return isDnsName && isIP(name) === 0 && name !== 'localhost' ? ['localhost', name] : ['localhost'];
}

/** Returns the pair in `folder` when both files match, are private, name all hosts and do not expire soon; otherwise undefined. */
function readPair(
  folder: string,
  hostNames: readonly string[],
  now: number,
): DevelopmentCertificate | undefined {
  const certificatePath = join(folder, CERTIFICATE_FILE);
  const keyPath = join(folder, KEY_FILE);
  try {
    const certificate = readFileSync(certificatePath, 'utf8');
    const key = readFileSync(keyPath, 'utf8');
    const parsed = new X509Certificate(certificate);
    const othersMayRead = (statSync(keyPath).mode & 0o077) !== 0;
    const isTime =
      Date.parse(parsed.validFrom) <= now && Date.parse(parsed.validTo) - now > RENEW_BEFORE_DAYS * DAY_MS;
    const namesAll = hostNames.every((host) => parsed.checkHost(host) !== undefined);
    if (othersMayRead || !isTime || !namesAll || !parsed.checkPrivateKey(createPrivateKey(key)))
      return undefined;
    return { certificate, key, fingerprint256: parsed.fingerprint256, certificatePath };
  } catch {
    // whether a file is missing, unreadable or damaged: a new pair is made
    return undefined;
  }
}

/** Puts the pair in place with one rename; when another process was faster, returns the pair of that process. */
async function storePair(
  folder: string,
  made: CertificateAndKey,
  hostNames: readonly string[],
  now: number,
): Promise<DevelopmentCertificate> {
  const target = join(folder, PAIR_FOLDER);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // mkdtemp makes it with mode 0700
  const fresh = mkdtempSync(join(folder, '.new-'));
  try {
    writeFileSync(join(fresh, KEY_FILE), made.key, { mode: 0o600, flag: 'wx' });
    writeFileSync(join(fresh, CERTIFICATE_FILE), made.certificate, { mode: 0o644, flag: 'wx' });
    const read = (): DevelopmentCertificate | undefined => readPair(target, hostNames, now);
    for (let attempt = 0; attempt < STORE_ATTEMPTS_MAX; attempt++) {
      renameUnlessTaken(fresh, target);
      const kept = read();
      if (kept !== undefined) return kept;
      await alone(folder, () => {
        if (read() === undefined) remove(target);
      });
    }
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  throw new GatewayError('LGW_CERTIFICATE_STORE', `No usable certificate stays in "${target}"`);
}

/**
 * Does what only one process may do at a time: a pair that is found unusable is removed, and must not be the one that
 * another process has put in its place meanwhile. A process that was killed leaves its lock, which counts for a minute.
 */
async function alone(folder: string, act: () => void): Promise<void> {
  const lock = join(folder, LOCK_FOLDER);
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (systemCodeOf(error) !== 'EEXIST') throw error;
    }
    const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - since > LOCK_KEPT_MS) rmSync(lock, { recursive: true, force: true });
    else await setTimeout(LOCK_ASKED_MS);
  }
  try {
    act();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

/** Removes a folder with one rename, so that others find all of it or nothing. */
function remove(target: string): void {
  const aside = join(target, '..', `.old-${randomBytes(8).toString('hex')}`);
  try {
    renameSync(target, aside);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return;
    throw error;
  }
  rmSync(aside, { recursive: true, force: true });
}

/** Renames a folder unless there is something at `target` already, or it was moved before. */
function renameUnlessTaken(folder: string, target: string): void {
  try {
    renameSync(folder, target);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'ENOENT'].includes(systemCodeOf(error) ?? '')) throw error;
  }
}
