/** `lgateway check`, `schema`, `init`, `routes`, `cert`, `reload`, `upgrade` and `drain`: what they do with the words behind them. They are no part of the bundle, as no server needs them. */
import { GatewayError, messageOf } from '../base/errors.ts';
import { configSchema } from '../config/file/json-schema.ts';
import { SUBCOMMANDS, type SubcommandName } from '../config/subcommand-names.ts';
import { showFault, UsageError } from '../config/usage-error.ts';
import { certCommand } from './cert-command.ts';
import { checkCommand } from './check-command.ts';
import { initCommand } from './init-command.ts';
import { orderCommand } from './order-command.ts';
import type { Outcome } from './outcome.ts';
import { routesCommand } from './routes-command.ts';

const COMMANDS: Readonly<Record<SubcommandName, (words: readonly string[]) => Promise<Outcome> | Outcome>> = {
  check: checkCommand,
  schema: schemaCommand,
  init: initCommand,
  routes: routesCommand,
  cert: certCommand,
  reload: (words) => orderCommand('reload', words),
  upgrade: (words) => orderCommand('upgrade', words),
  drain: (words) => orderCommand('drain', words),
};

/** Never rejects for what a user may get wrong. */
export async function runSubcommand(name: SubcommandName, words: readonly string[]): Promise<Outcome> {
  if (words.some((word) => word === '--help' || word === '-h')) return { output: helpOf(name), faults: [] };
  try {
    return await COMMANDS[name](words);
  } catch (error) {
    if (error instanceof UsageError)
      return {
        output: '',
        faults: error.faults.map((fault) => (fault.at === undefined ? 'lgateway: ' : '') + showFault(fault)),
      };
    const fault = { output: '', faults: [`lgateway: ${messageOf(error)}`] };
    const hasNoGateway = error instanceof GatewayError && error.code === 'LGW_NO_GATEWAY';
    return hasNoGateway ? { ...fault, refused: true } : fault;
  }
}

function helpOf(name: SubcommandName): string {
  const facts = SUBCOMMANDS.find((one) => one.name === name);
  const usage = `lgateway ${name} ${facts?.usage ?? ''}`.trimEnd();
  return `${usage}\n\n${facts?.help ?? ''}\n`;
}

function schemaCommand(words: readonly string[]): Outcome {
  if (words[0] !== undefined)
    throw new UsageError(`lgateway schema takes no word ${JSON.stringify(words[0])}`);
  return { output: `${JSON.stringify(configSchema(), null, 2)}\n`, faults: [] };
}
