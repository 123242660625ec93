/** `lgateway reload`, `upgrade` and `drain`: ask the gateway that runs, and tell what has come of it. */
import { UsageError } from '../config/usage-error.ts';
import {
  ORDER_SIGNALS,
  type Order,
  type OrderAnswer,
  orderByAdmin,
  orderBySignal,
} from '../supervisor/running-gateway.ts';
import { givenConfig } from './given-config.ts';
import type { Outcome } from './outcome.ts';

/** Throws UsageError where nothing says which gateway is meant. */
export async function orderCommand(order: Order, words: readonly string[]): Promise<Outcome> {
  const { config } = await givenConfig(words);
  const { admin, pidFile } = config;
  if (admin?.kind === 'tcp' && admin.port === 0)
    throw new UsageError(`lgateway ${order} wants the port of --admin that the gateway has chosen, not 0`);
  if (admin !== undefined) return outcomeOf(await orderByAdmin(order, admin, config));
  if (pidFile === undefined)
    throw new UsageError(
      `lgateway ${order} wants --admin or --pid-file of the gateway that runs, or a --config that has one of them`,
    );
  const answer = await orderBySignal(order, pidFile);
  if (typeof answer !== 'number') return outcomeOf(answer);
  const line = `${ORDER_SIGNALS[order]} was sent to process ${answer}; its log says what comes of it`;
  return { output: `${line}\n`, faults: [] };
}

function outcomeOf({ ok, lines }: OrderAnswer): Outcome {
  if (ok) return { output: `${lines.join('\n')}\n`, faults: [] };
  return { output: '', faults: lines.map((line) => `lgateway: ${line}`), refused: true };
}
