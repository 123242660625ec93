/** Runs batches of the API fuzzer in its own process, so that the fuzzer detects a batch that ends the process. */
import { runBatch } from './api-fuzz-batch.ts';

/** Errors thrown outside any call; each counts for the batches that run at that moment. */
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
