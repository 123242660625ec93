/** Loads scripts in a worker thread of their own, as a start would, and says what came of each. Nothing is bound and nothing serves. */
import type { Logger } from '../base/logger.ts';
import { TEXT_FORM } from '../base/message-form.ts';
import { createPurgeMemory } from '../cache/purge-marks.ts';
import type { Config } from '../config/config.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { createStoreStates } from '../metrics/store-states.ts';
import { createHealthMemory } from '../proxy/upstreams/health-memory.ts';
import type { TriedMapping } from '../worker/messages.ts';
import { becomeUser } from './become-user.ts';
import { EventMesh } from './event-mesh.ts';
import { LeftoverProcesses } from './leftover-processes.ts';
import { LuaMachines } from './lua-machines.ts';
import { MappingRows } from './mapping-rows.ts';
import { OnceRegistry } from './once-registry.ts';
import { OnceRuns } from './once-runs.ts';
import { SharedKeeper } from './shared-keeper.ts';
import { memorySizesOf, WORKER_ENTRY, workerSetup } from './worker-parts.ts';
import { WorkerThread } from './worker-thread.ts';
import { WORKER_TIMES, type WorkerTimes } from './worker-times.ts';

/** The number of the only worker. */
const WORKER_ID = 1;

export interface TrialOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Takes what the scripts log, formatted and without line ends. */
  readonly writeLine: (line: string) => void;
  /** As for a Supervisor. */
  readonly compileLua: (memoryBytesMax: number) => Promise<object>;
  readonly times?: Partial<WorkerTimes>;
}

/**
 * In the order of the mappings. The process becomes the user of the configuration for good. Rejects (GatewayError) when the thread has
 * ended, or is not done within the time of a start; in any case nothing is left, programs of the scripts included.
 */
export async function tryScripts(options: TrialOptions): Promise<readonly TriedMapping[]> {
  const { config, logger } = options;
  const { user } = config;
  if (user !== undefined) becomeUser(user, { config, logger }, true);
  const luaModules = await new LuaMachines(options.compileLua).of(memorySizesOf(config));
  const rows = new MappingRows(config.mappings.map(mappingName));
  const ofMappings = config.mappings.map((_, i) => i);
  const setup = workerSetup(config, { generation: 0, tls: undefined, rows: ofMappings, luaModules });
  const dictionaries = new SharedKeeper(config.shared, logger);
  const mesh = new EventMesh(1);
  const processes = new LeftoverProcesses();
  const worker = new WorkerThread({
    workerId: WORKER_ID,
    entry: WORKER_ENTRY,
    times: { ...WORKER_TIMES, ...options.times },
    logger,
    onLogLines: (lines) => lines.forEach(options.writeLine),
    onAccessLines: () => undefined,
    listenerCount: 0,
    countsRequests: false,
    rows,
    makeStart: (own) => ({
      ...own,
      logForm: TEXT_FORM,
      processGroups: processes.create(),
      shared: dictionaries.share(),
      interest: mesh.interest.memory,
      health: createHealthMemory(),
      purges: createPurgeMemory(),
      storeStates: createStoreStates(WORKER_ID, config.stores?.length ?? 0),
    }),
    makeJob: () => ({
      workerCount: config.workers,
      listeners: [],
      noDelay: true,
      serverPort: config.listen?.port ?? 0,
      setup,
      stores: config.stores ?? [],
      isTrial: true,
    }),
    once: new OnceRuns(new OnceRegistry(), () => undefined, logger),
    onThreadBegin: (giveEnd) => mesh.join(WORKER_ID, giveEnd),
    onThreadEnd: ({ processGroups }) => {
      mesh.leave(WORKER_ID);
      processes.end(processGroups);
    },
    currentSetup: () => setup,
    onPurged: () => undefined,
    onCrash: () => undefined,
    onStuck: () => undefined,
  });
  try {
    await worker.start();
    return worker.tried;
  } finally {
    await worker.stop();
    mesh.close();
    await processes.stop();
  }
}
