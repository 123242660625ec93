/** Becomes an unprivileged user (`-u`), for good and for all threads. */
import { GatewayError, messageOf } from '../base/errors.ts';

/** `id` asks the name service; a directory server that does not answer must not hang the start. */
const LOOKUP_TIMEOUT_MS = 10_000;

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Sets groups and ids of the whole process (glibc tells every thread). To be called in the main thread, after binding
 * and after the key has been read, before the workers start. Errors: LGW_USER.
 */
export function dropPrivileges(user: string, account: Account = findAccount(user)): void {
  const { getuid, setgid, setuid } = process;
  // @types/node does not know it
  const initgroups: unknown = Reflect.get(process, 'initgroups');
  if (!getuid || !setgid || !setuid || typeof initgroups !== 'function')
    throw new GatewayError('LGW_USER', `Cannot become user "${user}": this system has no user ids`);
  if (getuid() === account.uid && account.uid !== 0) return;
  if (getuid() !== 0)
    throw new GatewayError('LGW_USER', `Cannot become user "${user}": only root may change its user`);
  try {
    initgroups(account.name, account.gid);
    setgid(account.gid);
    setuid(account.uid);
  } catch (error) {
    throw new GatewayError('LGW_USER', `Cannot become user "${user}": ${messageOf(error)}`, { cause: error });
  }
  if (account.uid !== 0 && canBecomeRoot())
    throw new GatewayError('LGW_USER', `Cannot become user "${user}": root could be regained`);
}

/** Node has no getpwnam: `id` asks the same name service. Errors: LGW_USER. */
export function findAccount(user: string): Account {
  const ask = (option: string): string =>
    process
      .getBuiltinModule('node:child_process')
      .execFileSync('id', [...option.split(' '), '--', user], {
        encoding: 'utf8',
        timeout: LOOKUP_TIMEOUT_MS,
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      .trim();
  try {
    const account = { name: ask('-u -n'), uid: Number(ask('-u')), gid: Number(ask('-g')) };
    if (Number.isInteger(account.uid) && Number.isInteger(account.gid)) return account;
  } catch (error) {
    throw new GatewayError('LGW_USER', `There is no user "${user}"`, { cause: error });
  }
  throw new GatewayError('LGW_USER', `The ids of user "${user}" cannot be found out`);
}

function canBecomeRoot(): boolean {
  try {
    process.setuid?.(0);
    return true;
  } catch {
    return false;
  }
}
