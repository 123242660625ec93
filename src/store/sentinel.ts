/** Asks sentinels where the master of a set of servers is (https://redis.io/docs/latest/develop/reference/sentinel-clients/). */
import { type StoreAddress, type StoreNode, showStoreNode } from '../base/store-address.ts';
import { command } from './resp-command.ts';
import { RespParser } from './resp-parser.ts';
import { type Reply, ReplyError } from './resp-reply.ts';
import { explainSocketError, openStoreSocket, type StoreTls } from './store-socket.ts';

/** For the whole question to one of them. */
const ASK_MS = 1000;

/** The first that knows it tells. Rejects with what each of them has said, in one sentence. */
export async function findMaster(
  { nodes, master = '' }: Pick<StoreAddress, 'nodes' | 'master'>,
  tls: StoreTls | undefined,
): Promise<StoreNode> {
  const faults: string[] = [];
  for (const node of nodes) {
    try {
      return await ask(node, master, tls);
    } catch (error) {
      faults.push(`${showStoreNode(node)}: ${(error as Error).message}`);
    }
  }
  throw new Error(`no sentinel knows the master "${master}": ${faults.join('; ')}`);
}

function ask(node: StoreNode, master: string, tls: StoreTls | undefined): Promise<StoreNode> {
  return new Promise((resolve, reject) => {
    const question = command('SENTINEL', 'get-master-addr-by-name', master);
    const parser = new RespParser({ reply: (reply) => end(masterOf(reply)), push: () => undefined });
    const take = (bytes: Buffer): void => {
      try {
        parser.take(bytes);
      } catch (error) {
        end(`it is no sentinel: ${(error as Error).message}`);
      }
    };
    const socket = openStoreSocket(node, tls, () => socket.write(String(question), 'latin1'), take);
    const end = (outcome: StoreNode | string): void => {
      clearTimeout(timer);
      socket.destroy();
      if (typeof outcome === 'string') reject(new Error(outcome));
      else resolve(outcome);
    };
    const timer = setTimeout(() => end(`no answer within ${ASK_MS} ms`), ASK_MS);
    socket.on('error', (error) => end(explainSocketError(error, tls !== undefined)));
    socket.on('close', () => end('it has closed the connection'));
  });
}

function masterOf(reply: Reply): StoreNode | string {
  if (reply instanceof ReplyError) return `it says: ${reply.message.slice(0, 200)}`;
  if (reply === null) return 'it watches no set of that name';
  const [host, portText] = Array.isArray(reply) ? (reply as readonly Reply[]).map(String) : [];
  const port = Number(portText);
  if (host === undefined || host === '' || !(Number.isInteger(port) && port >= 1 && port <= 65_535))
    return 'its answer names no server';
  return { host, port };
}
