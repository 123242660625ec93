/** What a configuration file says beside the options of the command line: mappings with settings of their own, and listeners. */
import type { StoreAddress } from '../base/store-address.ts';
import type { ProxyMappingSettings, ProxyTimeouts, UpstreamTls } from '../mapping/proxy-settings.ts';
import type { ScriptSettings } from '../mapping/script-settings.ts';
import type { StaticSettings } from '../mapping/static-settings.ts';
import type { CertificateFiles, MappingConfig, SecureListen } from './config.ts';
import type { Position } from './usage-error.ts';

/** How one proxy differs from what holds for all. */
export interface FileProxy {
  readonly rules: Partial<Omit<ProxyMappingSettings, 'place' | 'targets' | 'timeouts' | 'tls' | 'health'>>;
  readonly timeouts: Partial<ProxyTimeouts>;
  readonly tls: Partial<UpstreamTls>;
  readonly health: FileHealth;
}

/** How the servers of a proxy are checked. */
export interface FileHealth {
  readonly path: string | undefined;
  readonly intervalMs: number | undefined;
}

/** A `[[lua]]`, `[[static]]` or `[[proxy]]`. */
export interface FileMapping {
  readonly mapping: MappingConfig;
  /** Of a script: what differs from the options that hold for all. */
  readonly script?: Pick<ScriptSettings, 'rights' | 'limits'>;
  /** Of a folder: what differs from the options that hold for all. */
  readonly folder?: Partial<StaticSettings>;
  readonly proxy?: FileProxy;
  /** Where its table begins. */
  readonly at: Position;
}

/** A `[[listen]]`. */
export interface FileListener extends SecureListen {
  readonly scheme: 'https' | 'http';
}

/** A `[[shared]]`. */
export interface FileDictionary {
  readonly name: string;
  /** In memory, with so many bytes. */
  readonly bytes?: number;
  readonly store?: StoreAddress;
  readonly at: Position;
}

export interface FileParts {
  /** Each place once. */
  readonly mappings: readonly FileMapping[];
  /** Undefined: the file leaves it to the options. */
  readonly listeners: readonly FileListener[] | undefined;
  /** Of `[[certificate]]`; absent: the file leaves them to the options. */
  readonly certificates?: readonly CertificateFiles[];
  readonly dictionaries?: readonly FileDictionary[];
  /** False: mappings of the file are missing, because something is wrong with them. */
  readonly isComplete?: boolean;
}
