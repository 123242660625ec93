/** The files of a folder as the answers of a route: what the mapping of a folder does, for TypeScript handlers. */
import { fileURLToPath } from 'node:url';
import { operationsOfShareMax, poolThreads } from '../base/pool-threads.ts';
import { FileSystem } from '../file/file-system.ts';
import type { Handler, Mapping } from '../http/exchange/handler.ts';
import { splitTarget } from '../http/semantics/path.ts';
import { NOTHING, type Share, Shares } from '../mapping/shares.ts';
import { readStaticOptions, type StaticSettings } from '../mapping/static-settings.ts';
import { Counters } from '../metrics/worker-metrics.ts';
import { StaticCache } from '../static/static-cache.ts';
import { loadStaticMapping } from '../static/static-mapping.ts';
import { pageResponse } from './page-response.ts';
import { ResponseExchange } from './response-exchange.ts';
import type { Answer, RouteHandler } from './route-types.ts';
import { ExchangeContext, type HandlerContext } from './web-handler.ts';

export interface ServeFilesOptions {
  /** Names of the files that stand for their folder, the first that is there. Default: `index.html`. */
  readonly index?: readonly string[];
  /** A folder without such a file shows what is in it. Default: false. */
  readonly listing?: boolean;
  /** Value of Cache-Control of the files. Default: none is sent. */
  readonly cacheControl?: string;
}

/** Files that all folders of a thread have open at once: a quarter of what a process has by default on many systems. */
const FILES_MAX = 256;

/** What all folders of a thread have in common. */
interface Shelf {
  readonly fileSystem: FileSystem;
  readonly cache: StaticCache;
  readonly share: Share;
}

/** By the counters of the thread. */
const shelves = new WeakMap<Counters, Shelf>();
/** Of handlers that are called without a server. */
const UNSEEN = new Counters();

function openShelf(context: HandlerContext): Shelf {
  const counters = ExchangeContext.countersOf(context) ?? UNSEEN;
  const known = shelves.get(counters);
  if (known !== undefined) return known;
  const shelf: Shelf = {
    fileSystem: new FileSystem({
      root: undefined,
      workingDirectory: process.cwd(),
      // a disk that does not answer leaves threads of the pool to others
      operationsMax: operationsOfShareMax(1, poolThreads(process.env['UV_THREADPOOL_SIZE'])),
      counters,
      duplicate: () => undefined,
      logger: context.logger,
    }),
    cache: new StaticCache(),
    share: new Shares({
      limits: { ...NOTHING, files: FILES_MAX },
      percent: 100,
    }).of('serveFiles'),
  };
  shelves.set(counters, shelf);
  return shelf;
}

type FolderMapping = Mapping & Handler;

/**
 * ```ts
 * router.mount('/static', serveFiles(new URL('../public/', import.meta.url)));
 * ```
 *
 * A handler for `mount`, or for routes that end with `{path...}`. The folder is looked for at the first request, a name from the
 * process's own folder on: LGW_FOLDER where it is not there. Throws RangeError for options that cannot be.
 */
export function serveFiles(
  folder: string | URL,
  options: ServeFilesOptions = {},
): RouteHandler<'/{path...}', object> {
  const settings = readOptions(options);
  const name = bytesOf(folder instanceof URL ? fileURLToPath(folder) : folder);
  let mapping: FolderMapping | undefined;
  let loading: Promise<FolderMapping> | undefined;
  const load = (context: HandlerContext): Promise<FolderMapping> => {
    const { prefix, logger, workerId } = context;
    loading ??= loadStaticMapping({
      ...openShelf(context),
      prefix,
      folder: name,
      settings,
      logger,
      workerId,
    }).then(
      (loaded) => {
        mapping = loaded;
        return loaded;
      },
      (error: unknown) => {
        // it may be there at the next request
        loading = undefined;
        throw error;
      },
    );
    return loading;
  };
  return (request, { path }, context) => {
    const surroundings = context as HandlerContext;
    if (mapping !== undefined) return answer(mapping, request, path, surroundings);
    return load(surroundings).then((loaded) => answer(loaded, request, path, surroundings));
  };
}

function answer(mapping: FolderMapping, request: Request, below: string, context: HandlerContext): Answer {
  const url = new URL(request.url);
  const split = splitTarget(url.pathname + url.search);
  if (split === undefined) return pageResponse(400, request);
  let response: Response | undefined;
  let deliver = (given: Response): void => {
    response = given;
  };
  const exchange = new ResponseExchange(request, url, context, (given) => deliver(given));
  mapping.handle(exchange, {
    mapping,
    handler: mapping,
    prefix: mapping.prefix,
    handlerName: `/${bytesOf(below)}`,
    path: split.path,
    query: split.query,
    params: undefined,
  });
  return (
    response ??
    new Promise((resolve) => {
      deliver = resolve;
    })
  );
}

/** The bytes of a name in UTF-8, as a byte string. */
function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function readOptions({ index, listing, cacheControl, ...others }: ServeFilesOptions): StaticSettings {
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new RangeError(`serveFiles has no option "${unknown}"`);
  const refuse = (option: string, value: unknown, wanted: string): never => {
    throw new RangeError(
      `Option "${option}" of serveFiles is ${JSON.stringify(value)} and has to be ${wanted}`,
    );
  };
  const settings = readStaticOptions({ index, listing, cacheControl }, refuse);
  return { ...settings, index: settings.index.map(bytesOf) };
}
