/** What `env` holds for a request, by name (spec: reference lhttpd, plus our additions). */
import type { RequestFacts } from './request-facts.ts';

/** What is the same for all requests of a mapping. */
export interface MappingFacts {
  readonly prefix: string;
  readonly script: string;
  readonly serverPort: number;
  readonly workerId: number;
}

const SOFTWARE = 'lgateway';

/** The keys of env in the order they are set. */
export const ENVIRONMENT_NAMES = [
  'SERVER_SOFTWARE',
  'SERVER_PROTOCOL',
  'SCRIPT_FILENAME',
  'SCRIPT_PREFIX',
  'HANDLER_NAME',
  'SERVER_PORT',
  'SERVER_ADDR',
  'CLIENT_ADDR',
  'CLIENT_PORT',
  'QUERY_INFO',
  'PUSH_PROMISE',
  'REQUEST_METHOD',
  'PATH_INFO',
  'SCHEME',
  'WORKER_ID',
  'TLS_PROTOCOL',
  'TLS_CIPHER',
  'TLS_SNI',
  'TLS_CLIENT_VERIFY',
  'TLS_CLIENT_SUBJECT',
  'TLS_CLIENT_SAN',
  'TLS_CLIENT_SERIAL',
  'TLS_CLIENT_FINGERPRINT',
] as const;
/** Those that differ even where the same request comes again. */
export const VARYING_NAMES = ['DATE_UTC', 'REQUEST_ID'] as const;

/** Those with few values in the life of a mapping: kept in the VM. */
export const CONSTANT_NAMES: ReadonlySet<string> = new Set([
  'SERVER_SOFTWARE',
  'SERVER_PROTOCOL',
  'SCRIPT_FILENAME',
  'SCRIPT_PREFIX',
  'HANDLER_NAME',
  'SCHEME',
  'TLS_PROTOCOL',
  'TLS_CIPHER',
]);

/** The value of one entry of env; undefined when it has none. */
export function environmentValue(
  name: string,
  facts: RequestFacts,
  mapping: MappingFacts,
): string | number | undefined {
  const { connection } = facts;
  switch (name) {
    case 'SERVER_SOFTWARE':
      return SOFTWARE;
    case 'SERVER_PROTOCOL':
      return facts.protocol;
    case 'SCRIPT_FILENAME':
      return mapping.script;
    case 'SCRIPT_PREFIX':
      return mapping.prefix;
    case 'HANDLER_NAME':
      return facts.handlerName;
    case 'SERVER_PORT':
      return connection.localPort || mapping.serverPort;
    case 'SERVER_ADDR':
      return connection.localAddress;
    case 'CLIENT_ADDR':
      return connection.peerAddress;
    case 'CLIENT_PORT':
      return connection.peerPort;
    case 'QUERY_INFO':
      return facts.query;
    case 'PUSH_PROMISE':
      return facts.canPush ? 1 : undefined;
    case 'REQUEST_METHOD':
      return facts.method;
    case 'PATH_INFO':
      return facts.path;
    case 'SCHEME':
      return facts.scheme;
    case 'WORKER_ID':
      return mapping.workerId;
    case 'TLS_PROTOCOL':
      return connection.tlsProtocol;
    case 'TLS_CIPHER':
      return connection.tlsCipher;
    case 'TLS_SNI':
      return connection.tlsServerName;
    case 'TLS_CLIENT_VERIFY':
      return connection.clientCertificate?.verify;
    case 'TLS_CLIENT_SUBJECT':
      return bytesOf(connection.clientCertificate?.subject);
    case 'TLS_CLIENT_SAN':
      return bytesOf(connection.clientCertificate?.san);
    case 'TLS_CLIENT_SERIAL':
      return connection.clientCertificate?.serial;
    case 'TLS_CLIENT_FINGERPRINT':
      return connection.clientCertificate?.fingerprint;
    default:
      return undefined;
  }
}

/** Strings of Lua are bytes. */
function bytesOf(text: string | undefined): string | undefined {
  return text === undefined ? undefined : Buffer.from(text).toString('latin1');
}
