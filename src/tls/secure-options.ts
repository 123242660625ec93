/** The TLS side of a server's options: versions, suites, curves, ALPN and sessions, the same for every worker. */
import { constants } from 'node:crypto';
import type { TlsOptions } from 'node:tls';
import { assert } from '../base/assert.ts';
import { TICKET_KEY_BYTES } from './ticket-keys.ts';

export interface SecureSettings {
  /** PEM, the server's own certificate first. */
  readonly certificate: string;
  /** PEM, not encrypted. */
  readonly key: string;
  /** 48 bytes of `createTicketKeys()`, shared by all workers. */
  readonly ticketKeys: Uint8Array;
}

/** Mozilla's intermediate profile 5.7, without its DHE suites, which no current browser needs. */
const CIPHERS: string = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

const CURVES = 'X25519:prime256v1:secp384r1';
const ALPN_PROTOCOLS: readonly string[] = ['h2', 'http/1.1'];
/** How long a session can be resumed: some hours, for a client that comes back on the same day. */
const SESSION_TIMEOUT_SECONDS = 4 * 3600;
/** OpenSSL resumes only sessions of the same context; by default Node derives it from the command line. */
const SESSION_ID_CONTEXT = 'lgateway';

/** Options for `http2.createSecureServer`, `tls.createServer` and `server.setSecureContext`. */
export function createSecureOptions(settings: SecureSettings): TlsOptions {
  assert(settings.ticketKeys.length === TICKET_KEY_BYTES, 'ticket keys are 48 bytes long');
  return {
    cert: settings.certificate,
    key: settings.key,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: CIPHERS,
    // all suites are strong: the client chooses, as it knows whether its processor has AES
    honorCipherOrder: false,
    ecdhCurve: CURVES,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
    ALPNProtocols: [...ALPN_PROTOCOLS],
    sessionTimeout: SESSION_TIMEOUT_SECONDS,
    sessionIdContext: SESSION_ID_CONTEXT,
    ticketKeys: Buffer.from(settings.ticketKeys),
  };
}
