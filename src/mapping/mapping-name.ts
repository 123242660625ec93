/** What log lines, metrics and messages call a mapping: its host, if it has one, and its prefix. */

export interface OfPlace {
  /** Whose requests it gets before mappings without a host do; default: any. */
  readonly host?: string | undefined;
  readonly prefix: string;
}

export function mappingName({ host = '', prefix }: OfPlace): string {
  return host + prefix;
}
