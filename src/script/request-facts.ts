/**
 * What `env` and `header` are filled from, also as one string: it waits inside the VM until a handler looks at its
 * tables, so that a request nobody asks about costs one short copy and holds nothing of ours.
 */
import type { ClientCertificate } from '../http/exchange/client-certificate.ts';
import type { ConnectionInfo, Exchange, Protocol } from '../http/exchange/exchange.ts';
import type { Route } from '../http/exchange/handler.ts';
import { splitTarget } from '../http/semantics/path.ts';

/** A request as its tables show it. */
export interface RequestFacts {
  readonly handlerName: string;
  readonly protocol: Protocol;
  readonly method: string;
  readonly target: string;
  /** Decoded path, and the undecoded query. */
  readonly path: string;
  readonly query: string | undefined;
  readonly scheme: 'https' | 'http';
  readonly authority: string;
  readonly canPush: boolean;
  readonly connection: ConnectionInfo;
  /** Names and values, flat. */
  readonly fields: readonly string[];
}

/** Separates the parts; none of them can hold it, and `unpackRequest` counts. */
const SEPARATOR = '\n';
/** Parts before the fields. */
const HEAD_PARTS = 16;

/** The parts of a connection, the same for all its requests. */
const packedConnections = new WeakMap<ConnectionInfo, string>();

export function factsOf(exchange: Exchange, route: Route): RequestFacts {
  const { protocol, method, target, scheme, authority, canPush, connection, fields } = exchange;
  const { handlerName, path, query } = route;
  return {
    handlerName,
    protocol,
    method,
    target,
    path,
    query,
    scheme,
    authority,
    canPush,
    connection,
    fields,
  };
}

export function packRequest(exchange: Exchange, route: Route): string {
  const { fields, connection } = exchange;
  let parts = packedConnections.get(connection);
  if (parts === undefined) {
    parts = packConnection(connection);
    packedConnections.set(connection, parts);
  }
  let facts = `${fields.length}\n${parts}\n${encodeName(route.handlerName)}\n${exchange.protocol}\n${exchange.method}\n${exchange.target}\n${exchange.scheme}\n${exchange.authority}\n${exchange.canPush ? 1 : 0}`;
  for (let i = 0; i < fields.length; i++) facts += SEPARATOR + (fields[i] as string);
  return facts;
}

/** The reverse; undefined when a part held a separator, so that nothing is taken for what it is not. */
export function unpackRequest(facts: string): RequestFacts | undefined {
  const parts = facts.split(SEPARATOR);
  const at = (index: number): string => parts[index] as string;
  if (parts.length !== HEAD_PARTS + Number(at(0))) return undefined;
  const target = at(12);
  const split = splitTarget(target);
  return {
    connection: {
      peerAddress: at(1),
      peerPort: Number(at(2)),
      localAddress: at(3),
      localPort: Number(at(4)),
      tlsProtocol: at(5) || undefined,
      tlsCipher: at(6) || undefined,
      tlsServerName: at(7) || undefined,
      clientCertificate: unpackCertificate(at(8)),
    },
    handlerName: decodeURIComponent(at(9)),
    protocol: at(10) as Protocol,
    method: at(11),
    target,
    path: split?.path ?? target,
    query: split?.query,
    scheme: at(13) === 'http' ? 'http' : 'https',
    authority: at(14),
    canPush: at(15) === '1',
    fields: parts.slice(HEAD_PARTS),
  };
}

function packConnection(connection: ConnectionInfo): string {
  const { peerAddress, peerPort, localAddress, localPort, tlsProtocol, tlsCipher, tlsServerName } =
    connection;
  // the server name is the one part a stranger writes as he likes
  const serverName = /^[\x21-\x7e]*$/.test(tlsServerName ?? '') ? tlsServerName : undefined;
  return [
    peerAddress,
    peerPort,
    localAddress,
    localPort,
    tlsProtocol ?? '',
    tlsCipher ?? '',
    serverName ?? '',
    packCertificate(connection.clientCertificate),
  ].join(SEPARATOR);
}

/** A stranger writes some of it: in this form it has no separator. Empty where the listener asks for none. */
function packCertificate(certificate: ClientCertificate | undefined): string {
  return certificate === undefined ? '' : encodeURIComponent(JSON.stringify(certificate));
}

function unpackCertificate(text: string): ClientCertificate | undefined {
  return text === '' ? undefined : (JSON.parse(decodeURIComponent(text)) as ClientCertificate);
}

/** Names of handlers are the script's own choice, line feeds and all. */
function encodeName(name: string): string {
  return PLAIN_NAME.test(name) ? name : encodeURIComponent(name);
}

const PLAIN_NAME = /^[^%\n]*$/;
