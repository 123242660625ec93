/** How TLS is spoken, as far as an operator chooses: profiles of versions and suites, and what clients have to show. */

/** Mozilla's names of them (guideline 5.7). */
export const TLS_PROFILES = ['modern', 'intermediate', 'old'] as const;
export type TlsProfile = (typeof TLS_PROFILES)[number];
export const DEFAULT_TLS_PROFILE: TlsProfile = 'intermediate';

/** `require`: a connection without a certificate that the authorities have issued is closed. */
export const CLIENT_VERIFY = ['optional', 'require'] as const;
export type ClientVerify = (typeof CLIENT_VERIFY)[number];
export const DEFAULT_CLIENT_VERIFY: ClientVerify = 'require';

/** Certificates of one gateway: each is read, checked and watched. */
export const CERTIFICATES_MAX = 1000;
