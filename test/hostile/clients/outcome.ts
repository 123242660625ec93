/** What came back to a client that speaks bytes, in a few words. */
import type { RawClient } from '../../support/raw-client.ts';

/** A client's patience: longer than each limit of the gateway. */
const PATIENCE_MS = 12_000;
/** Who sends piece after piece stops then, and waits for the verdict. */
const DRIP_MS_MAX = 4000;
const STEP_MS = 10;
const DRAIN_MS_MAX = 200;
const TEXT_MAX = 60;

/** Sends `bytes` and waits for the end of the connection. `200 text, 400`: the answers; `closed`: none came; `open`: no end. */
export async function outcomeOf(client: RawClient, bytes = ''): Promise<string> {
  if (bytes !== '') client.send(bytes);
  const ended = await until(() => client.ended, PATIENCE_MS);
  const outcome = describe(client.received.toString('latin1'));
  client.destroy();
  return ended ? outcome : `open: ${outcome}`;
}

/** Sends `piece` every `everyMs` (0: as fast as it is taken) until the connection ends. */
export async function drip(client: RawClient, piece: string, everyMs: number): Promise<string> {
  const limit = performance.now() + DRIP_MS_MAX;
  while (!client.ended && performance.now() < limit) {
    if (client.socket.writable) {
      const taken = client.socket.write(piece, 'latin1');
      await (taken || everyMs > 0 ? pause(everyMs) : drained(client));
    } else await pause(STEP_MS);
  }
  return await outcomeOf(client);
}

/** True when it holds within the time. */
export async function until(holds: () => boolean, limitMs: number): Promise<boolean> {
  const limit = performance.now() + limitMs;
  while (!holds()) {
    if (performance.now() > limit) return false;
    await pause(STEP_MS);
  }
  return true;
}

function drained({ socket }: RawClient): Promise<unknown> {
  return until(() => !socket.writableNeedDrain || !socket.writable, DRAIN_MS_MAX);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => (ms === 0 ? setImmediate(resolve) : setTimeout(resolve, ms)));
}

/** Statuses in order, each with the beginning of a body that is no page. */
function describe(text: string): string {
  if (text === '') return 'closed';
  const answers = text.split(/(?=HTTP\/1\.[01] \d{3} )/).map((answer) => {
    const status = /^HTTP\/1\.[01] (\d{3}) /.exec(answer)?.[1];
    const body = answer.slice(answer.indexOf('\r\n\r\n') + 4).slice(0, TEXT_MAX);
    if (status === undefined) return JSON.stringify(answer.slice(0, TEXT_MAX));
    return body === '' || body.startsWith('<!') ? status : `${status} ${body}`;
  });
  return answers.slice(0, 5).join(', ');
}
