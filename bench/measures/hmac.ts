/** Measures what one HMAC-SHA-256 of 1 KiB costs a handler. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { ask } from './ask.ts';
import { type Measure, withServer } from './measure.ts';

const ROUNDS = 100_000;

/** The sample holds microseconds of wall clock for each `hmac` of a loop in Lua. */
export const hmac: Measure = withServer(async (server, bench) => {
  const ca = readFileSync(bench.workspace.path('certificate.pem'));
  const sample = async (): Promise<{ hmacUs: number }> => {
    const session = connect(`https://localhost:${server.port}`, { ca });
    try {
      const start = performance.now();
      await ask(session, `/bench/hmac?${ROUNDS}`);
      return { hmacUs: ((performance.now() - start) * 1000) / ROUNDS };
    } finally {
      session.destroy();
    }
  };
  // the engine compiles what runs often
  await sample();
  return sample;
});
