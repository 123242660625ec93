/** Runs by itself: a cleartext front end over node:http2's sessions, which some sequences of frames abort. Tells its port. */
import { FUZZ_HANDLERS } from './fuzz-handlers.ts';
import { startFrontEnd } from './test-front-end.ts';

const front = await startFrontEnd(FUZZ_HANDLERS, {
  cleartext: true,
  http2: 'node',
  // it keeps connections for a while after it has said GOAWAY
  limits: { connectionsMax: 100_000, connectionsPerAddressMax: 100_000 },
});
process.send?.({ port: front.port });
process.on('message', () => process.send?.('alive'));
process.on('disconnect', () => process.exit(0));
