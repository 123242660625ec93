/** Mozilla's profiles of TLS (guideline 5.7): versions and suites, without suites of finite-field Diffie-Hellman, which no current client needs. */
import type { SecureVersion } from 'node:tls';
import type { TlsProfile } from '../settings/tls-settings.ts';

export interface ProfileSettings {
  readonly minVersion: SecureVersion;
  readonly ciphers: string;
  /** The server chooses among the suites: where some are weak. */
  readonly honorCipherOrder: boolean;
}

const TLS13_SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];
const INTERMEDIATE_SUITES = [
  ...TLS13_SUITES,
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
];
const OLD_SUITES = [
  ...INTERMEDIATE_SUITES,
  'ECDHE-ECDSA-AES128-SHA256',
  'ECDHE-RSA-AES128-SHA256',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA384',
  'ECDHE-RSA-AES256-SHA384',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA256',
  'AES256-SHA256',
  'AES128-SHA',
  'AES256-SHA',
  'DES-CBC3-SHA',
  // OpenSSL 3 signs the handshakes of TLS 1.0 and 1.1 at this level only
  '@SECLEVEL=0',
];

export const PROFILE_SETTINGS: Readonly<Record<TlsProfile, ProfileSettings>> = {
  modern: { minVersion: 'TLSv1.3', ciphers: TLS13_SUITES.join(':'), honorCipherOrder: false },
  // all suites are strong: the client chooses, as it knows whether its processor has AES
  intermediate: { minVersion: 'TLSv1.2', ciphers: INTERMEDIATE_SUITES.join(':'), honorCipherOrder: false },
  old: { minVersion: 'TLSv1', ciphers: OLD_SUITES.join(':'), honorCipherOrder: true },
};
