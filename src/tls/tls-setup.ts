/** What the TLS listeners of all workers need: certificates with their keys, ticket keys, and what clients have to show. */
import type { ClientVerify, TlsProfile } from '../settings/tls-settings.ts';
import type { ChallengeAnswer } from './challenge-answer.ts';
import type { KeyKind } from './private-key.ts';

export interface TlsCertificate {
  /** PEM, the server's own certificate first, then its chain. */
  readonly certificate: string;
  /** PEM, not encrypted. */
  readonly key: string;
  readonly keyKind: KeyKind;
  /** Hosts that it is for, as `comparableHost` writes them, perhaps with `*.` before them. */
  readonly names: readonly string[];
}

/** Clients of a listener are asked for a certificate. */
export interface ClientAuthority {
  /** PEM: the authorities whose certificates count. */
  readonly ca: string;
  readonly verify: ClientVerify;
}

export interface TlsSetup {
  /** Those that were given, and then those that were obtained: at least one in all. The first is the default. */
  readonly certificates: readonly TlsCertificate[];
  /** Of an ACME server; default: none. */
  readonly obtained?: readonly TlsCertificate[] | undefined;
  /** 48 bytes each, the newest first: tickets are made with that one, and read with all. */
  readonly ticketKeys: readonly Uint8Array[];
  readonly profile: TlsProfile;
  /** A handshake for a name of no certificate, or for none, is refused. */
  readonly strictSni: boolean;
  /** By the number of the listener; undefined = clients are not asked. */
  readonly clients: readonly (ClientAuthority | undefined)[];
  /** OCSP responses in DER, by `stapleKey`: clients that ask for one get it in the handshake. Default: none. */
  readonly staples?: ReadonlyMap<string, Uint8Array> | undefined;
  /** There only while an ACME server looks at our names. */
  readonly challenges?: readonly ChallengeAnswer[] | undefined;
}
