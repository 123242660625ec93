/** Imports a module of handlers and finds the function in it that answers. */
import { GatewayError } from '../base/errors.ts';
import type { WebHandler } from './web-handler.ts';
import { WebMapping, type WebMappingOptions } from './web-mapping.ts';

export interface ModuleOptions extends WebMappingOptions {
  /** `file:` URL of the module. */
  readonly url: string;
  /** Above 0, another copy of the module is loaded than the one before. */
  readonly generation: number;
}

/** A mapping whose module has been loaded. Errors: LGW_MODULE. */
export async function loadModuleMapping(options: ModuleOptions): Promise<WebMapping> {
  return new WebMapping(options, await loadHandler(options));
}

async function loadHandler({ url, generation }: ModuleOptions): Promise<WebHandler> {
  const address = new URL(url);
  // a module is loaded once for each URL
  if (generation > 0) address.searchParams.set('generation', String(generation));
  let loaded: unknown;
  try {
    loaded = await import(address.href);
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new GatewayError('LGW_MODULE', `Cannot load "${url}": ${text}`, { cause: error });
  }
  const exported =
    typeof loaded === 'object' && loaded !== null && 'default' in loaded ? loaded.default : undefined;
  const handler = toWebHandler(exported);
  if (handler !== undefined) return handler;
  throw new GatewayError(
    'LGW_MODULE',
    `The default export of "${url}" is neither a function nor an object with a method "fetch"`,
  );
}

/** The function that answers: the value itself, or its method `fetch`; undefined where there is neither. */
export function toWebHandler(value: unknown): WebHandler | undefined {
  if (typeof value === 'function') return value as WebHandler;
  if (typeof value !== 'object' || value === null || !('fetch' in value)) return undefined;
  if (typeof value.fetch !== 'function') return undefined;
  const service = value as { fetch: WebHandler };
  return (request, context) => service.fetch(request, context);
}
