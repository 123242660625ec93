/** The configuration of one run: what the command line or an embedding program asked for, checked and complete. */
import type { AdminAddress } from '../base/admin-address.ts';
import type { LogLevel } from '../base/logger.ts';
import type { SharedSize } from '../base/shared-size.ts';
import type { OfKind } from '../mapping/mapping-kinds.ts';
import type { OfPlace } from '../mapping/mapping-name.ts';
import type { ProxyMappingSettings } from '../mapping/proxy-settings.ts';
import type { ScriptMode } from '../mapping/script-mode.ts';
import type { ScriptRights } from '../mapping/script-rights.ts';
import type { OwnMachine, ScriptSettings } from '../mapping/script-settings.ts';
import type { FolderSettings } from '../mapping/static-settings.ts';
import type { AcmeSettings } from '../settings/acme-settings.ts';
import type { CompressionSettings } from '../settings/compression.ts';
import type { Limits } from '../settings/limits.ts';
import type { LogSettings } from '../settings/log-settings.ts';
import type { StoreSettings } from '../settings/store-settings.ts';
import type { ClientVerify, TlsProfile } from '../settings/tls-settings.ts';

/** `-l [HOST]PREFIX SCRIPT`, or a module of an embedding program: what stands behind one path prefix, perhaps of one host. */
export interface MappingConfig extends OfKind, OfPlace, OwnMachine {
  /** As `comparableHost` writes it, perhaps with `*.` before it: all names below. */
  readonly host?: string | undefined;
  /** Starts with `/`; no doubled and no trailing `/`. Text, not yet bytes: request paths are compared in UTF-8. */
  readonly prefix: string;
  /** As given; resolved inside the root. SCRIPT_FILENAME shows it like this. A module: its `file:` URL; static: its folder; proxy: `proxy`. */
  readonly script: string;
  /** What the script is; undefined = it shows when it has been loaded. */
  readonly mode?: ScriptMode | undefined;
  /** `FILE:LINE:COLUMN` of its table, for messages; undefined = not from a file. */
  readonly at?: string | undefined;
}

/** A TCP address to listen on. */
export interface ListenAddress {
  /** An IPv4 or IPv6 address; undefined = all addresses of both families. */
  readonly address: string | undefined;
  /** 0..65535; 0 = any free port. */
  readonly port: number;
  /** Its connections begin with a PROXY head, or do not; default: as `proxyProtocol` says. */
  readonly proxied?: boolean;
}

/** PEM or DER files. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
  /** `FILE:LINE:COLUMN` of its table, for messages; undefined = not from a file. */
  readonly at?: string | undefined;
}

/** Clients are asked for certificates. */
export interface ClientAuthorityFile {
  /** PEM. */
  readonly ca: string;
  readonly verify: ClientVerify;
}

/** A TLS listener. */
export interface SecureListen extends ListenAddress {
  /** Undefined = clients are not asked for a certificate. */
  readonly client?: ClientAuthorityFile | undefined;
}

export interface TlsConfig {
  /** The first is the default; empty = a development certificate. */
  readonly certificates: readonly CertificateFiles[];
  readonly strictSni: boolean;
  /** OCSP responses are fetched and stapled; default false. */
  readonly ocsp?: boolean;
  readonly profile: TlsProfile;
  /** The value of Strict-Transport-Security; undefined = it is not sent. */
  readonly hsts: string | undefined;
}

/** A listening socket that this process was started with. */
export interface InheritedSocket {
  readonly descriptor: number;
  /** https is TLS with HTTP/2 and HTTP/1.1, http the same without TLS. */
  readonly scheme: 'https' | 'http';
  /** What the configuration of the process said that has bound it; undefined = whoever started the process has bound it. */
  readonly place?: ListenAddress | undefined;
}

export interface Config {
  /** In the order of the command line, each place once; empty = the handlers/ of the package are served. */
  readonly mappings: readonly MappingConfig[];
  readonly tls: TlsConfig;
  /** Certificates that are obtained from an ACME server; default: none. */
  readonly acme?: AcmeSettings | undefined;
  /** The TLS listener; undefined = none. */
  readonly listen: SecureListen | undefined;
  /** Cleartext HTTP/1.1 + h2c listener (`--http`); undefined = none. */
  readonly cleartext: ListenAddress | undefined;
  /** Cleartext listener that leads clients to the TLS listener (`--http-redirect`); undefined = none. */
  readonly redirect?: ListenAddress | undefined;
  /** Listeners beside these two; default: none. */
  readonly furtherListeners?: readonly (SecureListen & Pick<InheritedSocket, 'scheme'>)[];
  /** Sockets that listen already, in the place of `listen` and `cleartext`; default: none. Clients of those with TLS show what those of `listen` do. */
  readonly inherited?: readonly InheritedSocket[];
  /** Connections of all listeners that do not say so themselves begin with a PROXY head; default false. */
  readonly proxyProtocol?: boolean;
  /** Addresses and networks of proxies that may say for whom a connection is; default: none. */
  readonly trustedProxies?: readonly string[];
  /** TCP_NODELAY for HTTP/1.x (HTTP/2 always has it); default true. */
  readonly noDelay?: boolean;
  /** User to become after binding and after the key has been read. */
  readonly user: string | undefined;
  /** Virtual root of scripts and of all file access from Lua, but of mappings with their own, and of folders. */
  readonly root: string | undefined;
  readonly workers: number;
  /** Go to the background; the first process ends when all workers are ready. */
  readonly daemon: boolean;
  /** Reload when files change; default false. */
  readonly watch?: boolean;
  readonly pidFile: string | undefined;
  /** Where the supervisor answers questions about the process; undefined = nowhere. */
  readonly admin?: AdminAddress | undefined;
  /** The file with the token that changes through it need; undefined = one is made, or the rights of its socket decide. */
  readonly adminTokenFile?: string | undefined;
  /** Log lines are appended to this file, opened anew on SIGHUP; undefined = standard error. */
  readonly logFile: string | undefined;
  readonly logLevel: LogLevel;
  /** One line per exchange. */
  readonly accessLog: boolean;
  readonly logs: LogSettings;
  readonly compression: CompressionSettings;
  readonly limits: Limits;
  readonly rights: ScriptRights;
  /** What scripts and modules among the mappings have of their own: rights and limits. */
  readonly scripts: readonly ScriptSettings[];
  /** How the folders among the mappings are served. */
  readonly folders: readonly FolderSettings[];
  /** How the mappings among them that pass requests on do it. */
  readonly proxies: readonly ProxyMappingSettings[];
  /** Dictionaries of `httpd.shared` whose size was given; others come up with the default. */
  readonly shared: readonly SharedSize[];
  /** Where dictionaries live that are not in memory. */
  readonly stores?: readonly StoreSettings[];
  /** Seals what machines have in common in the store of all dictionaries; undefined: they have nothing secret in common. */
  readonly storeSecret?: string;
  /** Files of root, perhaps, that the options of stores name: each reload and a successor read them again. */
  readonly storeFiles?: readonly string[];
}
