/**
 * Runs the gateway inside the test process: command line, supervisor, worker threads and signals are those of the program, without the
 * half second of processor time that a process and its modules take. What looks at the process itself needs `GatewayProcess`.
 */
import { EventEmitter } from 'node:events';
import { createLogger } from '../../src/base/logger.ts';
import { messageFormatter } from '../../src/base/message-form.ts';
import { packageVersion } from '../../src/base/package-info.ts';
import type { Config } from '../../src/config/config.ts';
import { parsePlainWords } from '../../src/config/plain-words.ts';
import { withMappings } from '../../src/config/ready-made-mappings.ts';
import { messageForm } from '../../src/settings/log-settings.ts';
import { gatewayBanner, logAddresses } from '../../src/supervisor/banner.ts';
import { LogOutputs } from '../../src/supervisor/log-outputs.ts';
import { Operations } from '../../src/supervisor/operations.ts';
import { type Ending, handleSignals } from '../../src/supervisor/signals.ts';
import { Supervisor } from '../../src/supervisor/supervisor.ts';
import { testLuaModule } from './lua-modules.ts';
import { type CounterReport, portOf, type RunningGateway, untilHolds } from './run-gateway.ts';

export class LocalGateway implements RunningGateway {
  stdout = '';
  stderr = '';
  readonly #words: readonly string[];
  readonly #signals = new EventEmitter();
  #supervisor: Supervisor | undefined;
  #ended: Promise<Ending> | undefined;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  get port(): number {
    return portOf(this.stdout);
  }

  /** Resolves when a signal has ended it. */
  get ended(): Promise<Ending> {
    if (this.#ended === undefined) throw new Error('The gateway has not started');
    return this.#ended;
  }

  /** Resolves when it serves. */
  async ready(): Promise<this> {
    const config = await configOf(this.#words);
    const writeLine = (line: string): void => {
      this.stderr += `${line}\n`;
    };
    const logger = createLogger(
      config.logLevel,
      'supervisor',
      writeLine,
      messageFormatter(messageForm(config.logs)),
    );
    const compileLua = testLuaModule;
    const outputs = config.logs.accessTarget.kind === 'log' ? undefined : new LogOutputs(config);
    const supervisor = new Supervisor({ config, logger, writeLine, compileLua, ...(outputs && { outputs }) });
    this.#supervisor = supervisor;
    const operations = new Operations({ supervisor, logger, reopenLog: () => outputs?.reopen(writeLine) });
    this.#ended = handleSignals({ supervisor, logger, operations }, this.#signals);
    await supervisor.start();
    logAddresses(supervisor, logger);
    const { addresses, workerCount, mappings, development } = supervisor;
    const facts = { version: packageVersion(), addresses, workerCount, mappings, development, notes: [] };
    this.stdout = gatewayBanner(facts);
    return this;
  }

  signal(name: NodeJS.Signals): void {
    this.#signals.emit(name);
  }

  async counters(): Promise<CounterReport> {
    const supervisor = this.#supervisor;
    if (supervisor === undefined) throw new Error('The gateway has not started');
    return { workers: supervisor.counters(), mappings: supervisor.mappingCounters() };
  }

  until(holds: () => boolean): Promise<void> {
    return untilHolds(this, holds);
  }

  async stop(): Promise<void> {
    await this.#supervisor?.stop();
  }
}

async function configOf(words: readonly string[]): Promise<Config> {
  const plain = parsePlainWords(words);
  if (plain !== undefined) return withMappings(plain);
  // it brings yargs, which few words need
  const { parseCommandLine } = await import('../../src/config/parse-command-line.ts');
  const result = parseCommandLine(words);
  if (result.kind !== 'run') throw new Error(`The gateway would not run: ${JSON.stringify(result)}`);
  return withMappings(result.config);
}
