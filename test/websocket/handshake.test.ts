/** What heads open a WebSocket, over HTTP/1.1 and HTTP/2 (test/support/websocket-cases/). */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { cleartextPortOf } from '../support/cleartext-port.ts';
import { connectPlain } from '../support/raw-client.ts';
import { TestGateway } from '../support/test-gateway.ts';
import { CONNECT_REQUESTS, type ConnectRequest } from '../support/websocket-cases/connect-requests.ts';
import { HANDSHAKES, type Handshake } from '../support/websocket-cases/handshakes.ts';
import { close, ServerFrameReader, text } from '../support/websocket-frames.ts';
import { FLAG, FRAME, WireClient } from '../support/wire-client.ts';

const HANDSHAKES_MIN = 80;
/** What an opened socket has to echo, to show that it is open. */
const GREETING = 'are you there?';

const SCRIPT = `local httpd = require 'httpd'
local function echo(path, options)
    httpd.register_handler(path, function()
        local ws <close> = assert(httpd.websocket(options))
        for message in ws:messages() do ws:send(message) end
    end)
end
echo('/echo')
echo('/deflate', {deflate = true})
echo('/protocols', {protocols = {'chat.v1', 'chat.v2'}})`;

let gateway: TestGateway;
let cleartextPort: number;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { words: ['--http', '127.0.0.1:0'] });
  cleartextPort = await cleartextPortOf(gateway);
});
after(() => gateway.stop());

/** Throws where the answer to a head over HTTP/1.1 is another. */
async function checkHandshake({ what, head, status, answers }: Handshake): Promise<void> {
  const client = await connectPlain(cleartextPort);
  try {
    client.send(head);
    if (status !== 101) {
      const answer = await client.response(head.startsWith('HEAD'));
      strictEqual(answer.status, status, what);
      if (answers !== undefined) match(answer.head, answers, what);
      return;
    }
    // together with what follows it would be a head of its own: a client waits for the answer (RFC 6455 §4.1)
    await client.until((received) => received.includes('\r\n\r\n'), 'the head');
    const received = client.received;
    const answer = received.toString('latin1', 0, received.indexOf('\r\n\r\n') + 2);
    strictEqual(answer.slice(0, 13), 'HTTP/1.1 101 ', what);
    match(answer, /\r\nupgrade: websocket\r\n/i, what);
    match(answer, /\r\nconnection: upgrade\r\n/i, what);
    ok(!/\r\n(?:content-length|transfer-encoding):/i.test(answer), what);
    if (answers !== undefined) match(answer, answers, what);
    client.send(Buffer.concat([text(GREETING), close(1000)]));
    const all = await client.rest();
    strictEqual(echoOf(all.subarray(all.indexOf('\r\n\r\n') + 4)), GREETING, what);
  } finally {
    client.destroy();
  }
}

function echoOf(bytes: Buffer): string | undefined {
  const reader = new ServerFrameReader();
  reader.take(bytes);
  return reader.frames[0]?.payload.toString();
}

async function checkConnect(wire: WireClient, request: ConnectRequest, stream: number): Promise<void> {
  const { what, head, ends = false, gets, answers } = request;
  wire.send(FRAME.headers, FLAG.endHeaders | (ends ? FLAG.endStream : 0), stream, wire.encode(head));
  const first = await wire.frame(
    (frame) => frame.stream === stream && (frame.type === FRAME.headers || frame.type === FRAME.rstStream),
    `the answer to ${what}`,
  );
  const got =
    first.type === FRAME.rstStream
      ? `reset ${first.payload.readUInt32BE()}`
      : Number(first.head?.get(':status'));
  strictEqual(got, gets, what);
  const fields = [...(first.head ?? [])].map(([name, value]) => `${name}: ${value}`).join('\n');
  if (answers !== undefined) match(fields, answers, what);
  if (gets !== 200) {
    await wire.response(stream);
    return;
  }
  strictEqual(first.flags & FLAG.endStream, 0, what);
  wire.send(FRAME.data, 0, stream, Buffer.concat([text(GREETING), close(1000)]));
  const { body, resetCode } = await wire.response(stream);
  strictEqual(resetCode, undefined, what);
  strictEqual(echoOf(body), GREETING, what);
  wire.send(FRAME.data, FLAG.endStream, stream);
}

test(`The table has ${HANDSHAKES_MIN} heads and more, each with a name of its own`, () => {
  ok(HANDSHAKES.length + CONNECT_REQUESTS.length >= HANDSHAKES_MIN);
  for (const table of [HANDSHAKES, CONNECT_REQUESTS]) {
    const names = table.map(({ what }) => what);
    deepStrictEqual([...new Set(names)], names);
  }
});

test('A head over HTTP/1.1 opens a WebSocket or is refused as RFC 6455 §4.2 says', async () => {
  const outcomes = await Promise.allSettled(HANDSHAKES.map(checkHandshake));
  deepStrictEqual(faultsOf(outcomes), []);
});

test('A CONNECT over HTTP/2 opens a WebSocket or is refused as RFC 8441 says', async () => {
  const wire = new WireClient(await gateway.connect('h2'));
  const settings = await wire.frame(({ type, flags }) => type === FRAME.settings && flags === 0, 'SETTINGS');
  ok(settings.payload.includes(Buffer.from([0, 8, 0, 0, 0, 1])), 'SETTINGS_ENABLE_CONNECT_PROTOCOL');
  const faults: string[] = [];
  // one after the other: a wire client has one that waits
  for (const [i, request] of CONNECT_REQUESTS.entries())
    await checkConnect(wire, request, 2 * i + 1).catch((fault: unknown) => faults.push(String(fault)));
  deepStrictEqual(faults, []);
  await wire.ping();
  wire.destroy();
});

function faultsOf(outcomes: readonly PromiseSettledResult<void>[]): string[] {
  return outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [String(outcome.reason)] : []));
}
