/** The TLS side of a server's options: versions, suites, curves, ALPN and sessions, the same for every worker. */
import { constants } from 'node:crypto';
import type { TlsOptions } from 'node:tls';
import { assert } from '../base/assert.ts';
import { DEFAULT_TLS_PROFILE, type TlsProfile } from '../settings/tls-settings.ts';
import { TICKET_KEY_BYTES } from './ticket-keys.ts';
import { PROFILE_SETTINGS } from './tls-profiles.ts';
import type { ClientAuthority } from './tls-setup.ts';

export interface SecureSettings {
  /** PEM, the server's own certificate first; or several, of keys of different kinds. */
  readonly certificate: string | readonly string[];
  /** PEM, not encrypted; as many as certificates. */
  readonly key: string | readonly string[];
  /** 48 bytes of `createTicketKeys()`, shared by all workers. */
  readonly ticketKeys: Uint8Array;
  /** Default: DEFAULT_TLS_PROFILE. */
  readonly profile?: TlsProfile;
  /** Default: clients are not asked for a certificate. */
  readonly client?: ClientAuthority | undefined;
  /** At most 32 bytes: sessions are resumed in the same context only. Default: one for all. */
  readonly sessionIdContext?: string;
}

const CURVES = 'X25519:prime256v1:secp384r1';
const ALPN_PROTOCOLS: readonly string[] = ['h2', 'http/1.1'];
/** How long a session can be resumed: some hours, for a client that comes back on the same day. */
const SESSION_TIMEOUT_SECONDS = 4 * 3600;
/** OpenSSL resumes only sessions of the same context; by default Node derives it from the command line. */
const SESSION_ID_CONTEXT = 'lgateway';

/** Options for `http2.createSecureServer`, `tls.createServer` and `server.setSecureContext`. */
export function createSecureOptions(settings: SecureSettings): TlsOptions {
  assert(settings.ticketKeys.length === TICKET_KEY_BYTES, 'ticket keys are 48 bytes long');
  const { certificate, key, client } = settings;
  return {
    cert: typeof certificate === 'string' ? certificate : [...certificate],
    key: typeof key === 'string' ? key : [...key],
    ...PROFILE_SETTINGS[settings.profile ?? DEFAULT_TLS_PROFILE],
    maxVersion: 'TLSv1.3',
    ecdhCurve: CURVES,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
    ALPNProtocols: [...ALPN_PROTOCOLS],
    sessionTimeout: SESSION_TIMEOUT_SECONDS,
    sessionIdContext: settings.sessionIdContext ?? SESSION_ID_CONTEXT,
    ticketKeys: Buffer.from(settings.ticketKeys),
    ...(client === undefined
      ? {}
      : { requestCert: true, rejectUnauthorized: client.verify === 'require', ca: client.ca }),
  };
}
