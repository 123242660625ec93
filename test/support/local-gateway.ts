/**
 * Runs the gateway inside the test process: command line, supervisor, worker threads and signals are those of the program, without the
 * half second of processor time that a process and its modules take. What looks at the process itself needs `GatewayProcess`.
 */
import { EventEmitter } from 'node:events';
import { createLogger } from '../../src/base/logger.ts';
import { packageVersion } from '../../src/base/package-info.ts';
import type { Config } from '../../src/config/config.ts';
import { parseCommandLine } from '../../src/config/parse-command-line.ts';
import { parsePlainWords } from '../../src/config/plain-words.ts';
import { withMappings } from '../../src/config/ready-made-mappings.ts';
import { compileLuaModule } from '../../src/lua/wasm-module.ts';
import { gatewayBanner } from '../../src/supervisor/banner.ts';
import { handleSignals } from '../../src/supervisor/signals.ts';
import { Supervisor } from '../../src/supervisor/supervisor.ts';
import { portOf, type RunningGateway, untilHolds } from './run-gateway.ts';

export class LocalGateway implements RunningGateway {
  stdout = '';
  stderr = '';
  readonly #supervisor: Supervisor;
  readonly #signals = new EventEmitter();

  constructor(words: readonly string[]) {
    const config = configOf(words);
    const writeLine = (line: string): void => {
      this.stderr += `${line}\n`;
    };
    const logger = createLogger(config.logLevel, 'supervisor', writeLine);
    const compileLua = (): Promise<WebAssembly.Module> => compileLuaModule(config.limits);
    this.#supervisor = new Supervisor({ config, logger, writeLine, compileLua });
    const options = { supervisor: this.#supervisor, logger, writeLine, reopenLog: () => undefined };
    void handleSignals(options, this.#signals);
  }

  get port(): number {
    return portOf(this.stdout);
  }

  /** Resolves when it serves. */
  async ready(): Promise<this> {
    const supervisor = this.#supervisor;
    await supervisor.start();
    const { addresses, workerCount, mappings, development } = supervisor;
    const facts = { version: packageVersion(), addresses, workerCount, mappings, development, notes: [] };
    this.stdout = gatewayBanner(facts);
    return this;
  }

  signal(name: NodeJS.Signals): void {
    this.#signals.emit(name);
  }

  until(holds: () => boolean): Promise<void> {
    return untilHolds(this, holds);
  }

  stop(): Promise<void> {
    return this.#supervisor.stop();
  }
}

function configOf(words: readonly string[]): Config {
  const plain = parsePlainWords(words);
  if (plain !== undefined) return withMappings(plain);
  const result = parseCommandLine(words);
  if (result.kind !== 'run') throw new Error(`The gateway would not run: ${JSON.stringify(result)}`);
  return withMappings(result.config);
}
