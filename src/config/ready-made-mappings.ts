/** The mappings served when no `-l` is given: every script and site of the package's handlers/ folder under its own name. */
import { existsSync, readdirSync } from 'node:fs';
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

/** `handlers/NAME.lua` and a folder `handlers/NAME/` with an index page → `/NAME`, `handlers/welcome.lua` → `/`; in the order of names. */
export function readyMadeMappings(folder: string = join(PACKAGE_ROOT, 'handlers')): MappingConfig[] {
  return readdirSync(folder)
    .sort()
    .flatMap((name): MappingConfig[] => {
      const script = join(folder, name);
      if (name === FRONT_PAGE) return [{ prefix: '/', script }];
      if (name.endsWith('.lua')) return [{ prefix: `/${name.slice(0, -'.lua'.length)}`, script }];
      if (existsSync(join(script, 'index.html')))
        return [{ prefix: `/${name}`, script: `${script}/`, kind: 'static' }];
      return [];
    });
}
