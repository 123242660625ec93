/** Where a proxy sends requests, as an operator or a script writes it: `http://HOST:PORT/PATH`, `https://…` or `unix:/SOCKET:/PATH`. */
import { isIP } from 'node:net';
import { GatewayError } from '../base/errors.ts';

export interface ProxyTarget {
  /** As logs name it: without the path. */
  readonly name: string;
  readonly isSecure: boolean;
  /** Over TLS the server chooses (`https://`), unless the target does (`h1://`, `h2://`); without TLS it is known before (`http://`, `h2c://`). */
  readonly version: 'http1' | 'http2' | 'negotiated';
  /** A name or an address without brackets; of no use where there is a socket of the file system. */
  readonly host: string;
  readonly port: number;
  /** The file of a socket; undefined = TCP. */
  readonly socketPath: string | undefined;
  /** What takes the place of the prefix of the mapping: `/base` without a slash at its end; undefined = paths stay as they are. */
  readonly basePath: string | undefined;
  /** What Host says where it is to be the target's own. */
  readonly authority: string;
}

/** Bytes of a target: a name of 253 with a path. */
const TARGET_BYTES_MAX = 2048;
/** What the system takes as the name of a socket (`sun_path` of 108 bytes with the NUL at its end). */
const SOCKET_PATH_BYTES_MAX = 107;

const TCP = /^(https?|h1|h2c?):\/\/(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(\d{1,5}))?(\/[^?#]*)?$/i;
const UNIX = /^unix:(\/[^:]+)(?::(\/[^?#]*))?$/;
const VISIBLE = /^[\x21-\x7e]+$/;
const PORT_MAX = 65_535;

/** Throws a GatewayError `LGW_PROXY_INVALID` that says what a target looks like. */
export function parseTarget(text: string): ProxyTarget {
  const target = text.length <= TARGET_BYTES_MAX && VISIBLE.test(text) ? parse(text) : undefined;
  if (target !== undefined) return target;
  const shown = JSON.stringify(text.length > TARGET_BYTES_MAX ? `${text.slice(0, 64)}…` : text);
  throw new GatewayError(
    'LGW_PROXY_INVALID',
    `Cannot use ${shown} as a target: it has to be http://HOST:PORT, https://HOST:PORT, h1://HOST:PORT, h2://HOST:PORT, h2c://HOST:PORT or unix:/SOCKET, each perhaps with a path, in at most ${TARGET_BYTES_MAX} bytes`,
    { luaCode: 'invalid' },
  );
}

function parse(text: string): ProxyTarget | undefined {
  return text.startsWith('unix:') ? parseSocket(text) : parsePlace(text);
}

function parseSocket(text: string): ProxyTarget | undefined {
  const [, socketPath = '', path] = UNIX.exec(text) ?? [];
  if (socketPath === '' || socketPath.length > SOCKET_PATH_BYTES_MAX) return undefined;
  return {
    name: `unix:${socketPath}`,
    isSecure: false,
    version: 'http1',
    host: '',
    port: 0,
    socketPath,
    basePath: basePathOf(path),
    authority: 'localhost',
  };
}

function parsePlace(text: string): ProxyTarget | undefined {
  const [, scheme = '', hostText = '', portText, path] = TCP.exec(text) ?? [];
  if (scheme === '') return undefined;
  const kind = scheme.toLowerCase();
  const isSecure = kind === 'https' || kind === 'h1' || kind === 'h2';
  const ownPort = isSecure ? 443 : 80;
  const port = portText === undefined ? ownPort : Number(portText);
  if (port === 0 || port > PORT_MAX) return undefined;
  const isBracketed = hostText.startsWith('[');
  const host = isBracketed ? hostText.slice(1, -1) : hostText.toLowerCase();
  if (isBracketed && isIP(host) !== 6) return undefined;
  const place = isBracketed ? `[${host}]` : host;
  const authority = port === ownPort ? place : `${place}:${port}`;
  return {
    name: `${kind}://${place}:${port}`,
    isSecure,
    version: kind === 'https' ? 'negotiated' : kind.startsWith('h2') ? 'http2' : 'http1',
    host,
    port,
    socketPath: undefined,
    basePath: basePathOf(path),
    authority,
  };
}

/** `/` is a path, too: it takes the place of the prefix. */
function basePathOf(path: string | undefined): string | undefined {
  return path === undefined ? undefined : path.replace(/\/+$/, '');
}
