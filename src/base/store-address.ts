/** The address of a store of dictionaries: how it is written, read and shown. */

/** `cluster`: its nodes find each other; `sentinel`: these know which server of that name is the master. */
export type StoreKind = 'single' | 'cluster' | 'sentinel';

export type StoreNode =
  | { readonly host: string; readonly port: number }
  /** A unix socket. */
  | { readonly path: string };

export interface StoreAddress {
  readonly kind: StoreKind;
  readonly nodes: readonly StoreNode[];
  /** Of a sentinel: the name of the set of servers. */
  readonly master?: string;
  readonly tls: boolean;
  readonly user?: string;
  /** Never logged. */
  readonly password?: string;
  readonly database: number;
}

export const STORE_FORMS =
  'redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// with TLS, several HOST:PORT separated by commas for a cluster, redis+sentinel://HOST:PORT,.../NAME, or unix:/SOCKET';
const PORT_DEFAULT = 6379;
const SENTINEL_PORT_DEFAULT = 26_379;
/** Servers that may be named in one address. */
const NODES_MAX = 64;
/** Databases that a server may be told to have. */
const DATABASE_MAX = 65_535;
const SCHEMES: Readonly<Record<string, { readonly tls: boolean; readonly sentinel: boolean }>> = {
  'redis:': { tls: false, sentinel: false },
  'rediss:': { tls: true, sentinel: false },
  'redis+sentinel:': { tls: false, sentinel: true },
  'rediss+sentinel:': { tls: true, sentinel: true },
};
const HOST = /^(?:\[[\da-fA-F:.]{2,45}\]|[A-Za-z\d](?:[A-Za-z\d._-]{0,252}))$/;
const MASTER = /^[\w.-]{1,100}$/;

/** Undefined for what is no address of a store. */
export function readStoreAddress(text: string): StoreAddress | undefined {
  if (text.length > 4096) return undefined;
  if (text.startsWith('unix:')) return readSocket(text.slice('unix:'.length));
  const [, schemeText = '', rest] = /^([a-z+]+:)\/\/(.*)$/s.exec(text) ?? [];
  const scheme = Object.hasOwn(SCHEMES, schemeText) ? SCHEMES[schemeText] : undefined;
  if (scheme === undefined || rest === undefined) return undefined;
  const at = rest.lastIndexOf('@');
  const login = at === -1 ? {} : readLogin(rest.slice(0, at));
  const [hosts = '', path = '', ...more] = rest.slice(at + 1).split('/');
  if (login === undefined || more.length > 0) return undefined;
  const nodes = readNodes(hosts, scheme.sentinel ? SENTINEL_PORT_DEFAULT : PORT_DEFAULT);
  if (nodes === undefined) return undefined;
  const common = { nodes, tls: scheme.tls, ...login };
  if (scheme.sentinel)
    return MASTER.test(path) ? { ...common, kind: 'sentinel', master: path, database: 0 } : undefined;
  const database = readDatabase(path);
  if (database === undefined) return undefined;
  const kind = nodes.length > 1 || hosts.endsWith(',') ? 'cluster' : 'single';
  // a cluster has one database
  return kind === 'cluster' && database !== 0 ? undefined : { ...common, kind, database };
}

/** Where it is, without the password. */
export function showStoreAddress({ kind, nodes, master, tls, database }: StoreAddress): string {
  const [first] = nodes;
  if (first !== undefined && 'path' in first)
    return `unix:${first.path}${database === 0 ? '' : `?db=${database}`}`;
  const hosts = nodes.map(showStoreNode).join(',');
  const scheme = `redis${tls ? 's' : ''}${kind === 'sentinel' ? '+sentinel' : ''}`;
  const cluster = kind === 'cluster' && nodes.length === 1 ? ',' : '';
  const path = master === undefined ? (database === 0 ? '' : `/${database}`) : `/${master}`;
  return `${scheme}://${hosts}${cluster}${path}`;
}

export function showStoreNode(node: StoreNode): string {
  if ('path' in node) return `unix:${node.path}`;
  return `${node.host.includes(':') ? `[${node.host}]` : node.host}:${node.port}`;
}

/** `unix:/SOCKET`, perhaps with `?db=N`; user and password stand before the path as `unix:USER:PASSWORD@/SOCKET`. */
function readSocket(text: string): StoreAddress | undefined {
  const at = text.indexOf('@/');
  const login = at === -1 ? {} : readLogin(text.slice(0, at));
  const [path = '', query, ...more] = text.slice(at + 1).split('?');
  const [, databaseText] = /^db=(\d+)$/.exec(query ?? 'db=0') ?? [];
  const database = readDatabase(databaseText ?? '?');
  if (login === undefined || database === undefined || more.length > 0) return undefined;
  // the system cuts longer names of sockets
  if (!path.startsWith('/') || path.includes('\0') || Buffer.byteLength(path) > 107) return undefined;
  return { kind: 'single', nodes: [{ path }], tls: false, ...login, database };
}

function readLogin(text: string): Pick<StoreAddress, 'user' | 'password'> | undefined {
  const colon = text.indexOf(':');
  try {
    const user = decodeURIComponent(colon === -1 ? text : text.slice(0, colon));
    const password = colon === -1 ? undefined : decodeURIComponent(text.slice(colon + 1));
    // a user alone logs in to nothing
    if (password === undefined || password === '') return undefined;
    return user === '' ? { password } : { user, password };
  } catch {
    return undefined;
  }
}

function readNodes(text: string, portDefault: number): StoreNode[] | undefined {
  const nodes: StoreNode[] = [];
  for (const one of text.replace(/,$/, '').split(',')) {
    const [, host = '', portText] = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(one) ?? [];
    const port = portText === undefined ? portDefault : Number(portText);
    if (!HOST.test(host) || port < 1 || port > 65_535) return undefined;
    nodes.push({ host: host.replace(/^\[|\]$/g, ''), port });
  }
  return nodes.length <= NODES_MAX ? nodes : undefined;
}

function readDatabase(text: string): number | undefined {
  if (!/^\d{0,5}$/.test(text)) return undefined;
  const database = Number(text);
  return database <= DATABASE_MAX ? database : undefined;
}
