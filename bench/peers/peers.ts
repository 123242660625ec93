/** The table of the compared servers: how the bench finds, configures and starts each of them. */
import { fileURLToPath } from 'node:url';

export type PeerName =
  | 'lgateway'
  | 'against'
  | 'module'
  | 'node'
  | 'node-compat'
  | 'undici'
  | 'ws'
  | 'nginx-lua'
  | 'haproxy-lua'
  | 'lighttpd-magnet'
  | 'h2o-mruby'
  | 'apache-lua'
  | 'caddy';

/** Names of the handlers; every peer has `hello`. */
export type HandlerName =
  | 'hello'
  | 'env'
  | 'download'
  | 'download-4k'
  | 'copy'
  | 'sendfile'
  | 'small-files'
  | 'static/10k'
  | 'static/1m'
  | 'memory-10k'
  | 'memory-1m'
  | 'upload'
  | 'multipart'
  | 'small-reads'
  | 'echo'
  | 'busy'
  | 'shared-incr'
  | 'store'
  | 'publish'
  | 'hmac'
  | 'gzip'
  | 'fetch'
  | 'module-hello'
  | 'luars-hello'
  | 'luvit-hello'
  | 'routes'
  | 'hook-hello'
  | 'hook-response-hello'
  | 'hook-log-hello'
  | 'route'
  | 'websocket-echo'
  | 'proxy';

/** Further scripts, by their modes or what they show; every lgateway of the bench serves a script of mode lhttpd in any case. */
export type ModeName = 'luars' | 'luvit' | 'hook' | 'hook-response' | 'hook-log';

/** Further scripts of mode lhttpd, by the names of their files and prefixes. */
export type FurtherName = 'routes-1' | 'routes-1000' | 'store';

/** Values of the `{{PLACEHOLDERS}}` in the templates. */
export interface PeerFiles {
  readonly FOLDER: string;
  readonly PORT: string;
  /** The port without TLS; every peer with `hello` listens there as well. */
  readonly PLAINPORT: string;
  readonly CERTIFICATE: string;
  readonly KEY: string;
  /** A file that holds both certificate and key. */
  readonly COMBINED: string;
  readonly BODY: string;
  readonly PAYLOAD: string;
  readonly STORE: string;
  /** The folder of the small files, which have numbers from 0 as names. */
  readonly SMALL: string;
  /** The folder of the files that static mappings serve: `10k` and `1m`. */
  readonly STATIC: string;
  /** The port of the server that proxies pass requests on to; one where nobody listens, where the scenario has none. */
  readonly UPSTREAM: string;
}

export interface StartPlan {
  readonly files: PeerFiles;
  /** Threads that serve; the bench starts all peers but lgateway with one. */
  readonly workers: number;
  /** Only lgateway: one further script for each mode, mapped under the path of its one handler. */
  readonly modes: readonly ModeName[];
  /** Only lgateway: further scripts, mapped under their names. */
  readonly further: readonly FurtherName[];
  /** Set where requests below `/bench/proxy/` are passed on: the port of the server. */
  readonly upstreamPort?: number;
  /** Only lgateway: further options, which stand last. */
  readonly options: readonly string[];
  /** Only lgateway: words of the command line before `main.js`. */
  readonly nodeOptions: readonly string[];
}

export interface Peer {
  readonly name: PeerName;
  readonly program: string;
  readonly arguments: (plan: StartPlan) => readonly string[];
  /** Environment variables in addition to those of the bench. */
  readonly environment?: (plan: StartPlan) => Readonly<Record<string, string>>;
  /** Files of bench/templates that the bench fills in and writes to the peer's folder. */
  readonly templates: readonly string[];
  readonly handlers: readonly HandlerName[];
  /** Arguments with which the program prints its version. */
  readonly versionArguments: readonly string[];
  /** Files that must exist in addition to the program. */
  readonly requires: readonly string[];
  /** Arguments of `apt-get install` that install the peer. A peer without them is part of this project and has to run. */
  readonly packages?: string;
}

const MODULE_SERVER = fileURLToPath(new URL('module-server.js', import.meta.url));
const BARE_COMPAT_SERVER = fileURLToPath(new URL('bare-compat-server.js', import.meta.url));
const UNDICI_CLIENT = fileURLToPath(new URL('undici-client.js', import.meta.url));
const WS_SERVER = fileURLToPath(new URL('ws-server.js', import.meta.url));
const BARE_NODE_SERVER = fileURLToPath(new URL('bare-node-server.js', import.meta.url));

/**
 * Returns every peer. `gateway` and `against` are paths of the compiled `main.js` of two builds; `against` becomes a peer of
 * that name.
 */
export function listPeers(gateway: string, against: string | undefined): Peer[] {
  const builds = [gatewayPeer('lgateway', gateway)];
  if (against !== undefined) builds.push(gatewayPeer('against', against));
  return [...builds, ...OTHER_PEERS];
}

function gatewayPeer(name: PeerName, main: string): Peer {
  return {
    name,
    program: process.execPath,
    // the payload's size and the idle connections depend on the bench, so the limits for them are off
    arguments: ({ files, workers, modes, further, options, nodeOptions }) => [
      ...[...nodeOptions, main],
      ...[
        '-c',
        files.CERTIFICATE,
        '-k',
        files.KEY,
        '-a',
        '127.0.0.1',
        '-p',
        files.PORT,
        '--http',
        `127.0.0.1:${files.PLAINPORT}`,
      ],
      ...['-w', String(workers), '--max-body', '0', '--idle-timeout', '120'],
      // an option is given once
      ...(options.includes('--log-level') ? [] : ['--log-level', 'warn']),
      // ten thousand idle WebSockets, and those before them
      ...['--max-connections', '20000', '--max-connections-per-address', '20000'],
      ...['-l', '/bench', `${files.FOLDER}/lgateway.lua`],
      ...['-l', '/bench/static', `${files.STATIC}/`],
      ...['-l', '/bench/proxy', `http://127.0.0.1:${files.UPSTREAM}`],
      ...modes.flatMap((mode) => ['-l', `/bench/${mode}-hello`, `${files.FOLDER}/${mode}.lua`]),
      ...further.flatMap((name) => ['-l', `/bench/${name}`, `${files.FOLDER}/${name}.lua`]),
      ...options,
    ],
    templates: [
      ...['lgateway.lua', 'luars.lua', 'luvit.lua', 'routes-1.lua', 'routes-1000.lua', 'store.lua'],
      ...['hook.lua', 'hook-response.lua', 'hook-log.lua'],
    ],
    handlers: [
      ...(['hello', 'env', 'download', 'download-4k', 'copy', 'sendfile', 'small-files'] as const),
      ...(['static/10k', 'static/1m', 'memory-10k', 'memory-1m'] as const),
      ...([
        'upload',
        'multipart',
        'small-reads',
        'echo',
        'busy',
        'shared-incr',
        'store',
        'publish',
        'hmac',
        'gzip',
        'fetch',
        'luars-hello',
        'luvit-hello',
        'routes',
        'hook-hello',
        'hook-response-hello',
        'hook-log-hello',
        'route',
        'websocket-echo',
        'proxy',
      ] as const),
    ],
    versionArguments: [main, '--version'],
    requires: [],
  };
}

const OTHER_PEERS: readonly Peer[] = [
  {
    name: 'module',
    program: process.execPath,
    arguments: ({ files, workers }) => [
      ...[MODULE_SERVER, files.CERTIFICATE, files.KEY, files.PORT, String(workers)],
    ],
    templates: [],
    handlers: ['module-hello', 'route'],
    versionArguments: ['--version'],
    requires: [],
  },
  {
    name: 'node-compat',
    program: process.execPath,
    arguments: ({ files }) => [BARE_COMPAT_SERVER, files.CERTIFICATE, files.KEY, files.PORT, files.BODY],
    templates: [],
    handlers: ['module-hello'],
    versionArguments: ['--version'],
    requires: [],
  },
  {
    name: 'undici',
    program: process.execPath,
    arguments: ({ files }) => [UNDICI_CLIENT, files.CERTIFICATE, files.KEY, files.PORT, files.BODY],
    templates: [],
    handlers: ['fetch'],
    versionArguments: ['--version'],
    requires: [],
  },
  {
    name: 'ws',
    program: process.execPath,
    arguments: ({ files }) => [WS_SERVER, files.CERTIFICATE, files.KEY, files.PORT, files.BODY],
    templates: [],
    handlers: ['websocket-echo'],
    versionArguments: ['--version'],
    requires: [],
  },
  {
    name: 'node',
    program: process.execPath,
    arguments: ({ files }) => [
      BARE_NODE_SERVER,
      ...[files.CERTIFICATE, files.KEY, files.PORT, files.PLAINPORT],
      ...[files.BODY, files.PAYLOAD, files.STORE, files.SMALL],
    ],
    templates: [],
    handlers: ['hello', 'env', 'download', 'copy', 'sendfile', 'small-files', 'upload', 'echo'],
    versionArguments: ['--version'],
    requires: [],
  },
  {
    name: 'nginx-lua',
    program: 'nginx',
    arguments: ({ files, upstreamPort }) => [
      ...['-p', '/usr/lib/nginx', '-e', 'stderr', '-c'],
      `${files.FOLDER}/${upstreamPort === undefined ? 'nginx.conf' : 'nginx-proxy.conf'}`,
    ],
    templates: ['nginx.conf', 'nginx-proxy.conf'],
    handlers: ['hello', 'env', 'static/10k', 'static/1m', 'proxy'],
    versionArguments: ['-v'],
    requires: ['/usr/lib/nginx/modules/ngx_http_lua_module.so'],
    packages: 'nginx libnginx-mod-http-lua',
  },
  {
    name: 'haproxy-lua',
    program: 'haproxy',
    arguments: ({ files, upstreamPort }) => [
      ...['-q', '-f'],
      `${files.FOLDER}/${upstreamPort === undefined ? 'haproxy.cfg' : 'haproxy-proxy.cfg'}`,
    ],
    templates: ['haproxy.cfg', 'haproxy-proxy.cfg', 'haproxy.lua'],
    handlers: ['hello', 'proxy'],
    versionArguments: ['-v'],
    requires: [],
    packages: 'haproxy',
  },
  {
    name: 'lighttpd-magnet',
    program: 'lighttpd',
    arguments: ({ files }) => ['-D', '-f', `${files.FOLDER}/lighttpd.conf`],
    templates: ['lighttpd.conf', 'lighttpd.lua'],
    handlers: ['hello'],
    versionArguments: ['-v'],
    requires: ['/usr/lib/lighttpd/mod_magnet.so', '/usr/lib/lighttpd/mod_openssl.so'],
    packages: 'lighttpd lighttpd-modules-lua lighttpd-mod-openssl',
  },
  {
    name: 'h2o-mruby',
    program: 'h2o',
    arguments: ({ files }) => ['-m', 'worker', '-c', `${files.FOLDER}/h2o.conf`],
    templates: ['h2o.conf'],
    handlers: ['hello'],
    versionArguments: ['-v'],
    requires: [],
    packages: 'h2o',
  },
  {
    name: 'apache-lua',
    program: 'apache2',
    arguments: ({ files }) => ['-f', `${files.FOLDER}/apache.conf`, '-D', 'FOREGROUND'],
    templates: ['apache.conf', 'apache.lua'],
    handlers: ['hello'],
    versionArguments: ['-v'],
    requires: ['/usr/lib/apache2/modules/mod_lua.so'],
    packages: 'apache2',
  },
  {
    name: 'caddy',
    program: 'caddy',
    arguments: ({ files }) => ['run', '--config', `${files.FOLDER}/Caddyfile`, '--adapter', 'caddyfile'],
    // Caddy saves its configuration and its data below these folders
    environment: ({ files }) => ({
      GOMAXPROCS: '1',
      HOME: files.FOLDER,
      XDG_CONFIG_HOME: files.FOLDER,
      XDG_DATA_HOME: files.FOLDER,
    }),
    templates: ['Caddyfile'],
    handlers: ['hello', 'static/10k', 'static/1m', 'proxy'],
    versionArguments: ['version'],
    requires: [],
    packages: 'caddy',
  },
];
