/** Runs a supervisor with real workers of the gateway inside the test process, on a free port of the loopback. */

import { createLogger } from '../../src/base/logger.ts';
import type { Config } from '../../src/config/config.ts';
import { DEFAULT_SCRIPT_RIGHTS } from '../../src/mapping/script-rights.ts';
import { DEFAULT_COMPRESSION } from '../../src/settings/compression.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { DEFAULT_LOG_SETTINGS } from '../../src/settings/log-settings.ts';
import { Supervisor } from '../../src/supervisor/supervisor.ts';
import type { SupervisorOptions } from '../../src/supervisor/supervisor-options.ts';
import { testLuaModule } from './lua-modules.ts';
import type { GatewayFolder } from './run-gateway.ts';

/** Serves `app.lua` of the folder under `/` with two workers; appends the log lines to `lines`. */
export function realSupervisor(
  folder: GatewayFolder,
  lines: string[],
  config: Partial<Config> = {},
  options: Partial<SupervisorOptions> = {},
): Supervisor {
  return new Supervisor({ ...realSupervisorOptions(folder, lines, config), ...options });
}

/** What such a supervisor is made of. */
export function realSupervisorOptions(
  folder: GatewayFolder,
  lines: string[],
  config: Partial<Config> = {},
): SupervisorOptions {
  return {
    config: {
      mappings: [{ prefix: '/', script: folder.file('app.lua') }],
      tls: {
        certificates: [{ certificate: folder.certificate, key: folder.key }],
        strictSni: false,
        profile: 'intermediate',
        hsts: undefined,
      },
      listen: { address: '127.0.0.1', port: 0 },
      cleartext: undefined,
      user: undefined,
      root: undefined,
      workers: 2,
      daemon: false,
      pidFile: undefined,
      logFile: undefined,
      logLevel: 'info',
      accessLog: false,
      logs: DEFAULT_LOG_SETTINGS,
      compression: DEFAULT_COMPRESSION,
      limits: DEFAULT_LIMITS,
      rights: DEFAULT_SCRIPT_RIGHTS,
      shared: [],
      folders: [],
      scripts: [],
      proxies: [],
      ...config,
    },
    logger: createLogger('info', 'supervisor', (line) => lines.push(line)),
    writeLine: (line) => lines.push(line),
    compileLua: testLuaModule,
  };
}
