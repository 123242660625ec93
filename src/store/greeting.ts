/** The first commands on a connection, and what their replies tell about the server. */
import type { StoreAddress } from '../base/store-address.ts';
import { type Command, command } from './resp-command.ts';
import { type Reply, ReplyError } from './resp-reply.ts';

export interface Greeting {
  /** `redis 7.0.15` */
  readonly server: string;
  /** It tells of changes of keys that were asked for behind CLIENT CACHING. */
  readonly isTracking: boolean;
}

export interface BadGreeting {
  readonly fault: string;
  /** It will be the same the next time. */
  readonly isConfiguration: boolean;
}

const NAME = 'lgateway';

export function greetingOf({ user, password, database }: StoreAddress): Command[] {
  const login = password === undefined ? [] : ['AUTH', bytesOf(user ?? 'default'), bytesOf(password)];
  const commands = [command('HELLO', '3', ...login, 'SETNAME', NAME)];
  if (database !== 0) commands.push(command('SELECT', String(database)));
  // last, as it may be refused
  commands.push(command('CLIENT', 'TRACKING', 'ON', 'OPTIN'));
  return commands;
}

/** `replies`: as many as there are commands, or the last one is an error. */
export function checkGreeting(replies: readonly Reply[], address: StoreAddress): Greeting | BadGreeting {
  const last = replies.at(-1);
  const isTracking = !(last instanceof ReplyError);
  const count = greetingOf(address).length;
  if (last instanceof ReplyError && replies.length < count) return explain(last, replies.length, address);
  const [hello] = replies;
  if (!Array.isArray(hello)) return { fault: 'its greeting is that of no Redis', isConfiguration: true };
  const facts = new Map<string, string>();
  for (let i = 0; i + 1 < hello.length; i += 2) facts.set(String(hello[i]), String(hello[i + 1]));
  const mode = facts.get('mode');
  if (mode === 'cluster' && address.kind !== 'cluster')
    return {
      fault: 'it belongs to a cluster, whose address has a comma behind the last HOST:PORT',
      isConfiguration: true,
    };
  if (mode === 'sentinel')
    return {
      fault: 'it is a sentinel, whose address is redis+sentinel://HOST:PORT/NAME',
      isConfiguration: true,
    };
  if (mode === 'standalone' && address.kind === 'cluster')
    return { fault: 'it belongs to no cluster, and its address has a comma', isConfiguration: true };
  const isMaster = facts.get('role') === 'master';
  if (!isMaster && address.kind !== 'cluster')
    return { fault: 'it is a replica, which takes no changes', isConfiguration: false };
  return {
    server: `${facts.get('server') ?? 'redis'} ${facts.get('version') ?? ''}`.trim(),
    isTracking,
  };
}

function explain(
  { code, message }: ReplyError,
  at: number,
  { password, database }: StoreAddress,
): BadGreeting {
  if (code === 'WRONGPASS') return { fault: 'it refuses this user and password', isConfiguration: true };
  if (code === 'NOAUTH' || (password === undefined && message.includes('HELLO must be called')))
    return {
      fault: 'it wants a password: redis://:PASSWORD@HOST or redis://USER:PASSWORD@HOST',
      isConfiguration: true,
    };
  if (code === 'NOPROTO' || (code === 'ERR' && at === 1 && /unknown command/i.test(message)))
    return { fault: 'it is older than Redis 6.0, and 7.0 is recommended', isConfiguration: true };
  if (at > 1 && database !== 0 && /DB index|SELECT/i.test(message))
    return { fault: `it has no database ${database}: ${message}`, isConfiguration: true };
  return { fault: `it says: ${message.slice(0, 200)}`, isConfiguration: false };
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}
