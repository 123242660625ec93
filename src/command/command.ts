/** All that the command `lgateway` does: command line → configuration → supervisor; the only file that names an exit code. */
import { fileURLToPath } from 'node:url';
import { GatewayError, messageOf } from '../base/errors.ts';
import { createLogger, type Logger } from '../base/logger.ts';
import { packageVersion } from '../base/package-info.ts';
import type { OptionTexts } from '../config/answers.ts';
import type { Config } from '../config/config.ts';
import type { ParseResult } from '../config/parse-command-line.ts';
import { subcommandOf } from '../config/subcommand-names.ts';
import { type BackgroundChannel, backgroundChannel } from '../supervisor/background-channel.ts';
import { SUCCESSOR_MARK } from '../supervisor/handover.ts';
import type { Inheritance } from '../supervisor/inherited-sockets.ts';
import type { LogOutputs } from '../supervisor/log-outputs.ts';
import type { Reconfigured } from '../supervisor/operations.ts';
import type { Predecessor } from '../supervisor/predecessor.ts';
import type { Ending } from '../supervisor/signals.ts';
import type { OwnCommand } from '../supervisor/successor.ts';
import type { Supervisor } from '../supervisor/supervisor.ts';

const EXIT_OK = 0;
const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
/** It served, and then workers were replaced in vain. */
const EXIT_CRASH_LOOP = 3;

/** How long the last log lines and the last threads may hold up the end of the process. */
const LAST_WORDS_MS = 1000;
const DEFAULT_COLUMNS = 80;

/** The texts of a command line, not yet checked. */
interface Given {
  readonly kind: 'given';
  readonly texts: OptionTexts;
}

/** Who has started this process and waits to hear how that went: the terminal's process of `-D`, or the predecessor. */
interface Starter {
  readonly background: BackgroundChannel | undefined;
  readonly predecessor: Predecessor | undefined;
}

async function main(words: readonly string[]): Promise<number> {
  const background = backgroundChannel();
  let predecessor: Predecessor | undefined;
  if (process.env[SUCCESSOR_MARK] !== undefined) {
    const { Predecessor } = await import('../supervisor/predecessor.ts');
    try {
      predecessor = await Predecessor.find();
      await adoptOpener(predecessor);
    } catch (error) {
      showFailure(messageOf(error));
      return EXIT_FAILURE;
    }
  }
  const starter = { background, predecessor };
  const subcommand = subcommandOf(words[0]);
  if (subcommand !== undefined) {
    const { runSubcommand } = await import('./subcommands.ts');
    const { output, faults, refused } = await runSubcommand(subcommand, words.slice(1));
    process.stdout.write(output);
    if (faults.length > 0) process.stderr.write(`${faults.join('\n')}\n`);
    if (faults.length === 0) return EXIT_OK;
    return refused === true ? EXIT_FAILURE : EXIT_USAGE;
  }
  const result = await readCommandLine(words);
  switch (result.kind) {
    case 'text':
      process.stdout.write(result.text);
      return EXIT_OK;
    case 'usage-error':
      for (const line of result.message.split('\n')) process.stderr.write(`lgateway: ${line}\n`);
      process.stderr.write('Try "lgateway --help"\n');
      return EXIT_USAGE;
    default:
      return await runConfigured(words, result.texts, starter);
  }
}

/** Before the first file is read: that may be for root alone. */
async function adoptOpener(predecessor: Predecessor | undefined): Promise<void> {
  const { openerFiles, sockets = [] } = predecessor?.handover ?? {};
  if (openerFiles === undefined) return;
  const [{ adoptHandedOpener }, { FIRST_DESCRIPTOR }] = await Promise.all([
    import('../supervisor/become-user.ts'),
    import('../supervisor/inherited-sockets.ts'),
  ]);
  adoptHandedOpener(FIRST_DESCRIPTOR + sockets.length, openerFiles);
}

async function readCommandLine(words: readonly string[]): Promise<ParseResult | Given> {
  const { readPlainWords } = await import('../config/plain-words.ts');
  const texts = readPlainWords(words);
  if (texts !== undefined) return { kind: 'given', texts };
  // only here, because it brings yargs
  const { parseCommandLine } = await import('../config/parse-command-line.ts');
  return parseCommandLine(words, {
    columns: process.stdout.columns ?? DEFAULT_COLUMNS,
    shell: process.env['SHELL'] ?? '',
  });
}

async function runConfigured(
  words: readonly string[],
  texts: OptionTexts,
  starter: Starter,
): Promise<number> {
  const { configure } = await import('../config/file/configure.ts');
  const { UsageError, showFault } = await import('../config/usage-error.ts');
  try {
    const configuration = await configure(texts, process.env);
    const reconfigure = configuration.file === undefined ? undefined : () => configure(texts, process.env);
    return await run(words, { ...configuration, reconfigure }, starter);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const message = error.faults.map(
      (fault) => (fault.at === undefined ? 'lgateway: ' : '') + showFault(fault),
    );
    const hint = error.faults.some(({ at }) => at === undefined) ? 'Try "lgateway --help"\n' : '';
    const listener = listenerOf(starter);
    if (listener === undefined) process.stderr.write(`${message.join('\n')}\n${hint}`);
    else await listener.failed(message.join('\n'));
    return EXIT_USAGE;
  }
}

function listenerOf({ background, predecessor }: Starter): Pick<Predecessor, 'failed'> | undefined {
  return predecessor ?? background;
}

/** What is to run, and how its configuration is read again. */
interface Job {
  readonly config: Config;
  /** The one of `--config`; undefined = none. */
  readonly file: string | undefined;
  readonly reconfigure: (() => Promise<Reconfigured>) | undefined;
}

async function run(words: readonly string[], job: Job, starter: Starter): Promise<number> {
  let inherited: Inheritance;
  try {
    const { handedSockets, takeInheritedSockets } = await import('../supervisor/inherited-sockets.ts');
    inherited =
      starter.predecessor === undefined
        ? takeInheritedSockets(process.env, process.pid, 'https')
        : { sockets: handedSockets(starter.predecessor.handover.sockets) };
  } catch (error) {
    await report(error, starter);
    return EXIT_FAILURE;
  }
  const { config } = job;
  if (config.daemon && listenerOf(starter) === undefined)
    return await runInBackground(words, config, inherited);
  return await runHere(words, job, inherited, starter);
}

async function runInBackground(
  words: readonly string[],
  config: Config,
  { sockets }: Inheritance,
): Promise<number> {
  try {
    const { startInBackground } = await import('../supervisor/daemon.ts');
    const background = { ...ownCommand(words), logFile: config.logFile, inherited: sockets };
    process.stdout.write(await startInBackground(background));
    return EXIT_OK;
  } catch (error) {
    showFailure(messageOf(error));
    return EXIT_FAILURE;
  }
}

/** The program by the name it was called by: an upgrade finds there what was installed since. */
function ownCommand(words: readonly string[]): OwnCommand {
  return { main: process.argv[1] ?? fileURLToPath(new URL('../main.js', import.meta.url)), argv: words };
}

async function runHere(
  words: readonly string[],
  { config, file, reconfigure }: Job,
  { sockets, notice }: Inheritance,
  starter: Starter,
): Promise<number> {
  let outputs: LogOutputs | undefined;
  try {
    const { LogOutputs } = await import('../supervisor/log-outputs.ts');
    const { withMappings } = await import('../config/ready-made-mappings.ts');
    const isInBackground =
      starter.predecessor === undefined ? starter.background !== undefined : config.daemon;
    outputs = new LogOutputs(config, isInBackground);
    if (notice !== undefined)
      createLogger(config.logLevel, 'supervisor', outputs.writeMessage, outputs.format).warn(notice);
    const complete = (given: Config): Config => ({ ...withMappings(given), inherited: sockets });
    const again =
      reconfigure &&
      (async (): Promise<Reconfigured> => {
        const { config, origins } = await reconfigure();
        return { config: complete(config), origins };
      });
    const job = { config: complete(config), file, reconfigure: again };
    return await serve(ownCommand(words), job, outputs, starter);
  } catch (error) {
    await report(error, starter);
    return EXIT_FAILURE;
  } finally {
    await outputs?.flush(LAST_WORDS_MS);
  }
}

async function report(error: unknown, starter: Starter): Promise<void> {
  const message = error instanceof GatewayError ? error.message : stackOf(error);
  const listener = listenerOf(starter);
  if (listener === undefined) showFailure(message);
  else await listener.failed(message);
}

/** Starts, serves until a signal ends it. Rejects when the start fails; then nothing is left behind. */
async function serve(command: OwnCommand, job: Job, outputs: LogOutputs, starter: Starter): Promise<number> {
  const { config } = job;
  const logger = createLogger(config.logLevel, 'supervisor', outputs.writeMessage, outputs.format);
  const [
    { Supervisor },
    { ServiceManager },
    { handleSignals },
    { Operations },
    { Upgrader },
    { compileLuaModule },
    { returnStartMemory },
  ] = await Promise.all([
    import('../supervisor/supervisor.ts'),
    import('../supervisor/service-manager.ts'),
    import('../supervisor/signals.ts'),
    import('../supervisor/operations.ts'),
    import('../supervisor/upgrader.ts'),
    import('../lua/wasm-module.ts'),
    import('../supervisor/start-memory.ts'),
  ]);
  let giveUp: ((ending: 'given-up') => void) | undefined;
  const givenUp = new Promise<'given-up'>((resolve) => {
    giveUp = resolve;
  });
  const supervisor = new Supervisor({
    config,
    configFile: job.file,
    logger,
    writeLine: outputs.writeMessage,
    outputs,
    compileLua: (memoryBytesMax) => compileLuaModule({ memoryBytesMax }),
    predecessor: starter.predecessor,
    onGivenUp: (reason) => {
      logger.error(`The gateway ends: ${reason.message}`);
      giveUp?.('given-up');
    },
  });
  process.on('uncaughtException', (error) => {
    outputs.writeNow('error', 'supervisor', stackOf(error));
    supervisor.removeFiles();
    process.exit(EXIT_FAILURE);
  });
  const manager = ServiceManager.of(process.env, logger);
  const operations = new Operations({
    supervisor,
    manager,
    logger,
    reconfigure: job.reconfigure,
    upgrader: new Upgrader({ supervisor, command }),
    reopenLog: () => outputs.reopen((message) => logger.error(message)),
  });
  const ending = handleSignals({ supervisor, logger, operations });
  if (config.watch === true) {
    const { reloadOnChange } = await import('../supervisor/reload-on-change.ts');
    const parts = { config, configFile: job.file, supervisor, operations, logger };
    await reloadOnChange({ ...parts, started: () => started }).start();
  }
  const started = supervisor.start().then(() => 'serving' as const);
  const first = await Promise.race([started, ending]);
  if (first === 'serving') {
    if (starter.predecessor === undefined) await announce(supervisor, config, logger, starter.background);
    else await takeOver(supervisor, starter.predecessor, ending, logger);
    manager?.ready(`Serving with ${supervisor.workerCount} workers`);
    manager?.watch(process.env, () => supervisor.allAnswer, logger);
    returnStartMemory();
    return await finish(await Promise.race([ending, givenUp]), supervisor);
  }
  started.catch(() => undefined);
  return await finish(first, supervisor);
}

/** The predecessor lets go of what only one of the two can have. */
async function takeOver(
  supervisor: Supervisor,
  predecessor: Predecessor,
  ending: Promise<Ending>,
  logger: Logger,
): Promise<void> {
  const { logAddresses } = await import('../supervisor/banner.ts');
  await Promise.race([predecessor.ready(), ending]);
  // a signal has ended this process first, and the other one goes on
  if (supervisor.state !== 'serving') return;
  await supervisor.succession.takeOver();
  predecessor.taken();
  logAddresses(supervisor, logger);
  logger.info(`Process ${process.pid} serves in the place of process ${predecessor.pid}`);
}

async function announce(
  supervisor: Supervisor,
  config: Config,
  logger: Logger,
  channel: BackgroundChannel | undefined,
): Promise<void> {
  const { gatewayBanner, logAddresses } = await import('../supervisor/banner.ts');
  logAddresses(supervisor, logger);
  const notes: string[] = [];
  if (channel !== undefined && config.logFile === undefined && !hasReceiver(config.logs))
    notes.push('Log lines go nowhere in the background; --log-file FILE or --log-target keeps them');
  const text = gatewayBanner({
    version: packageVersion(),
    addresses: supervisor.addresses,
    workerCount: supervisor.workerCount,
    mappings: supervisor.mappings,
    development: supervisor.development,
    notes,
  });
  if (channel === undefined) process.stdout.write(text);
  else channel.ready(text);
}

/** Messages go to somebody who is there also where no terminal is. */
function hasReceiver({ target }: Config['logs']): boolean {
  return target !== undefined && target.kind !== 'stdout' && target.kind !== 'stderr';
}

async function finish(ending: Ending | 'given-up', supervisor: Supervisor): Promise<number> {
  const isCut = ending === 'forced' || ending === 'given-up';
  if (isCut)
    await Promise.race([supervisor.stop(), new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS))]);
  hasStuckThread = supervisor.stuckThreads > 0;
  if (ending === 'given-up') return EXIT_CRASH_LOOP;
  return isCut ? EXIT_FAILURE : EXIT_OK;
}

/** There is a thread for which Node would wait in vain at the end. */
let hasStuckThread = false;

async function end(code: number): Promise<never> {
  if (!hasStuckThread) process.exit(code);
  const { endProcess } = await import('../supervisor/end-process.ts');
  return endProcess(code);
}

/** One block, so that it stays together whatever else writes to the terminal. */
function showFailure(message: string): void {
  process.stderr.write(`lgateway: ${message}\n`);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

// a terminal or pipe that is gone is no reason to end
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

void main(process.argv.slice(2)).then(end);
