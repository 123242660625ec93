/** The mappings served when no `-l` is given: every script of the package's handlers/ folder under its own name. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError } from '../base/errors.ts';
import { PACKAGE_ROOT } from '../base/package-info.ts';
import type { Config, MappingConfig } from './config.ts';

/** The script that is mapped to `/` rather than to its name. */
const FRONT_PAGE = 'welcome.lua';

/** The same configuration with mappings: without any, those of the package. Errors: LGW_CONFIG. */
export function withMappings(config: Config): Config {
  if (config.mappings.length > 0) return config;
  if (config.root !== undefined)
    throw new GatewayError(
      'LGW_CONFIG',
      `The root "${config.root}" needs scripts inside it (-l): those of the package lie outside`,
    );
  if (config.rights.sandboxed)
    throw new GatewayError(
      'LGW_CONFIG',
      'The sandbox needs scripts of your own (-l): those of the package use files and modules',
    );
  return { ...config, mappings: readyMadeMappings() };
}

/** `handlers/NAME.lua` → `/NAME`, `handlers/welcome.lua` → `/`; in the order of their names. */
export function readyMadeMappings(folder: string = join(PACKAGE_ROOT, 'handlers')): MappingConfig[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.lua'))
    .sort()
    .map((name) => ({
      prefix: name === FRONT_PAGE ? '/' : `/${name.slice(0, -'.lua'.length)}`,
      script: join(folder, name),
    }));
}
