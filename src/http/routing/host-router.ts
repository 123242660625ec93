/**
 * Finds the mappings of a host: those that name it, then those of names with a star, the longest first, then those that name none.
 * What the first lack the next are asked for.
 */
import { HOST_BYTES_MAX, hostOfAuthority } from '../../base/host-name.ts';
import type { Mapping } from '../exchange/handler.ts';
import { Router } from './router.ts';

/** Authorities whose routers are remembered, so that one that comes again is not read again. */
const AUTHORITIES_MAX = 1000;
/** Longer authorities are not remembered: a host, the dot at its end and a port. */
const AUTHORITY_BYTES_MAX: number = HOST_BYTES_MAX + 1 + ':65535'.length;
const ALL_BELOW = '*.';

export class HostRouter {
  /** For hosts that no mapping names. */
  #others = new Router();
  /** Absent where no mapping names a host: then a host costs nothing. */
  #hosts: ReadonlyMap<string, Router> | undefined;
  /** The most labels that stand behind a star. */
  #labelsMax = 0;
  readonly #byAuthority = new Map<string, Router>();

  constructor(mappings: readonly Mapping[] = []) {
    this.replace(mappings);
  }

  /** Takes another list of mappings, all at once. */
  replace(mappings: readonly Mapping[]): void {
    this.#byAuthority.clear();
    const byHost = new Map<string | undefined, Mapping[]>();
    for (const mapping of mappings) {
      const list = byHost.get(mapping.host);
      if (list === undefined) byHost.set(mapping.host, [mapping]);
      else list.push(mapping);
    }
    const others = byHost.get(undefined) ?? [];
    this.#others = new Router([others], byHost.size);
    byHost.delete(undefined);
    const hosts = new Map<string, Router>();
    this.#labelsMax = 0;
    for (const host of byHost.keys() as Iterable<string>) {
      const isWide = host.startsWith(ALL_BELOW);
      const name = isWide ? host.slice(ALL_BELOW.length) : host;
      if (isWide) this.#labelsMax = Math.max(this.#labelsMax, name.split('.').length);
      const layers = [byHost.get(host), ...widerHosts(name).map((wide) => byHost.get(wide)), others];
      hosts.set(
        host,
        new Router(
          layers.filter((layer) => layer !== undefined),
          byHost.size + 1,
        ),
      );
    }
    this.#hosts = hosts.size === 0 ? undefined : hosts;
  }

  /** Some mappings are for one host only. */
  get namesHosts(): boolean {
    return this.#hosts !== undefined;
  }

  /** The router for the host of `:authority` or Host, which is empty where a client of HTTP/1.0 has sent none. */
  of(authority: string): Router {
    if (this.#hosts === undefined) return this.#others;
    return this.#byAuthority.get(authority) ?? this.#find(authority, this.#hosts);
  }

  /** True where mappings name hosts, this is none of them, and no mapping is for all others. */
  isStranger(authority: string): boolean {
    return this.#hosts !== undefined && authority !== '' && this.of(authority).isEmpty;
  }

  #find(authority: string, hosts: ReadonlyMap<string, Router>): Router {
    const host = hostOfAuthority(authority);
    let found = host === undefined ? undefined : hosts.get(host);
    if (host !== undefined && found === undefined && !host.startsWith('[')) {
      let at = host.length;
      for (let labels = 1; labels <= this.#labelsMax; labels++) {
        at = host.lastIndexOf('.', at - 1);
        if (at <= 0) break;
        found = hosts.get(`*${host.slice(at)}`) ?? found;
      }
    }
    found ??= this.#others;
    if (authority.length <= AUTHORITY_BYTES_MAX) {
      if (this.#byAuthority.size >= AUTHORITIES_MAX) this.#byAuthority.clear();
      this.#byAuthority.set(authority, found);
    }
    return found;
  }
}

/** The hosts with a star that a name is below, the longest first. */
function widerHosts(name: string): string[] {
  if (name.startsWith('[')) return [];
  const hosts: string[] = [];
  for (let at = name.indexOf('.'); at !== -1; at = name.indexOf('.', at + 1))
    hosts.push(`*${name.slice(at)}`);
  return hosts;
}
