/** Runs batches of the API fuzzer in a process of its own, so that one that brings the process down is found out. */
import { runBatch } from './api-fuzz-batch.ts';

/** What happens outside of every call still belongs to the batches under way. */
const uncaught: string[] = [];
process.on('uncaughtException', (error) => uncaught.push(`uncaught: ${error.stack ?? error.message}`));
process.on('unhandledRejection', (reason) =>
  uncaught.push(`unhandled: ${reason instanceof Error ? reason.stack : reason}`),
);

process.on('message', ({ first, count }: { readonly first: number; readonly count: number }) => {
  void runBatch(first, count)
    .catch((error: unknown) => ({
      done: count,
      lost: 0,
      findings: [`the batch failed: ${error instanceof Error ? error.stack : error}`],
    }))
    .then((result) => {
      const findings = [...result.findings, ...uncaught.splice(0)];
      process.send?.({ first, result: { ...result, findings } });
    });
});
process.on('disconnect', () => process.exit());
