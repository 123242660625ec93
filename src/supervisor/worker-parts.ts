/** What workers get: the code that they run, their settings of a configuration, and the Lua machines of all sizes. */
import type { Config } from '../config/config.ts';
import { runsLua } from '../mapping/mapping-kinds.ts';
import type { TlsSetup } from '../tls/tls-setup.ts';
import type { WorkerSettings, WorkerSetup } from '../worker/messages.ts';

/** Runs the bundle of worker-entry.ts: to find and read two hundred modules takes a fifth of the start. */
export const WORKER_ENTRY: URL = new URL('../worker/worker-start.cjs', import.meta.url);

/** What the states of the scripts may grow to, each size once (bytes). */
export function memorySizesOf({ mappings, limits }: Config): readonly number[] {
  const scripts = mappings.filter(runsLua);
  return [...new Set(scripts.map((script) => script.memoryBytesMax ?? limits.memoryBytesMax))];
}

/** The settings that a reload may change in a worker. */
function workerSettings({ limits, rights, logLevel, accessLog, logs, ...more }: Config): WorkerSettings {
  return {
    limits,
    rights,
    logLevel,
    accessLog,
    logs,
    compression: more.compression,
    scripts: more.scripts,
    folders: more.folders,
    proxies: more.proxies,
    trustedProxies: more.trustedProxies ?? [],
    transportSecurity: more.tls.hsts,
  };
}

/** What workers get of a configuration; `made`: what does not stand in it. */
export function workerSetup(
  config: Config,
  made: Pick<WorkerSetup, 'generation' | 'tls' | 'rows' | 'luaModules'>,
): WorkerSetup {
  const { mappings, root } = config;
  return { ...made, mappings, root, settings: workerSettings(config) };
}

/** Of each certificate the PEM text: the server's own first, then its chain. */
export function chainsOf(tls: TlsSetup | undefined): readonly string[] {
  return [...(tls?.certificates ?? []), ...(tls?.obtained ?? [])].map(({ certificate }) => certificate);
}

/** False when `done` does not come within `limitMs`. */
export async function withinTime(done: Promise<boolean>, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), limitMs);
  });
  const inTime = await Promise.race([done, limit]);
  clearTimeout(timer);
  return inTime;
}
