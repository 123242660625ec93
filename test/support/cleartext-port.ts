/** Finds the port without TLS of a gateway that was started with `--http 127.0.0.1:0`. */
import type { TestGateway } from './test-gateway.ts';

const LINE = /Listening on http:\/\/127\.0\.0\.1:(\d+)/;

export async function cleartextPortOf(gateway: TestGateway): Promise<number> {
  await gateway.untilLog(LINE);
  return Number(LINE.exec(gateway.log)?.[1]);
}
