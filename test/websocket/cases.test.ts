/** The list of WebSocket cases (test/support/websocket-cases/), over HTTP/1.1 and HTTP/2, judged by the bytes of the answers. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import type { ClientHttp2Session } from 'node:http2';
import { after, before, test } from 'node:test';
import { cleartextPortOf } from '../support/cleartext-port.ts';
import type { Carrier } from '../support/raw-websocket.ts';
import { inForm } from '../support/test-form.ts';
import { TestGateway } from '../support/test-gateway.ts';
import { COMPRESSION_CASES } from '../support/websocket-cases/compression-cases.ts';
import { FRAMING_CASES } from '../support/websocket-cases/framing-cases.ts';
import { type Cut, judgeCase } from '../support/websocket-cases/judge-case.ts';
import { MESSAGE_CASES } from '../support/websocket-cases/message-cases.ts';
import { MESSAGE_BYTES_MAX, type WebSocketCase } from '../support/websocket-cases/websocket-case.ts';

const CASES: readonly WebSocketCase[] = [...FRAMING_CASES, ...MESSAGE_CASES, ...COMPRESSION_CASES];
const CASES_MIN = 400;
/** Sockets open at the same time: below the most streams that one HTTP/2 connection may have. */
const AT_ONCE = 50;
/** One case in so many is sent over TLS, too, and byte by byte over each carrier: what is cut differs by frames, not by case. */
const SOME = inForm(8, 1);
/** What the client's HTTP/2 layer may hold: some cases are large. */
const SESSION_MEBIBYTES_MAX = 1000;
const FAULTS_SHOWN_MAX = 20;

const SCRIPT = `local httpd = require 'httpd'
local function echo(path, options)
    httpd.register_handler(path, function()
        local ws = assert(httpd.websocket(options))
        for message, kind in ws:messages() do ws:send(message, kind == 'binary' and 'binary' or nil) end
    end)
end
${Object.entries(MESSAGE_BYTES_MAX)
  .map(([path, max]) => `echo('${path}', {max = ${max}, deflate = ${path.startsWith('/deflate')}})`)
  .join('\n')}`;

let gateway: TestGateway;
let session: ClientHttp2Session;
let plain: Carrier;
let secure: Carrier;
let multiplexed: Carrier;
before(async () => {
  gateway = await TestGateway.start(
    { '/': SCRIPT },
    {
      // the connection of HTTP/2 has nothing open while the cases of HTTP/1.1 run, which a slow machine takes long for
      words: ['--http', '127.0.0.1:0', '--idle-timeout', '600'],
    },
  );
  const cleartextPort = await cleartextPortOf(gateway);
  session = await gateway.session({ maxSessionMemory: SESSION_MEBIBYTES_MAX });
  plain = { kind: 'h1', port: cleartextPort, secure: false };
  secure = { kind: 'h1', port: gateway.port, secure: true };
  multiplexed = { kind: 'h2', session };
});
after(() => gateway.stop());

async function judgeAll(cases: readonly WebSocketCase[], carrier: Carrier, cut: Cut): Promise<void> {
  const waiting = cases.values();
  const faults: string[] = [];
  const worker = async (): Promise<void> => {
    for (const one of waiting) {
      const found = await judgeCase(one, carrier, cut).catch((error: unknown) => [String(error)]);
      if (found.length > 0) faults.push(`${one.id} ${one.what}: ${found.join('; ')}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  strictEqual(
    faults.length,
    0,
    `${faults.length} of ${cases.length} are wrong:\n${faults.slice(0, FAULTS_SHOWN_MAX).join('\n')}`,
  );
}

const some = (rest: number): WebSocketCase[] => CASES.filter((_, i) => i % SOME === rest % SOME);

test(`The list has ${CASES_MIN} cases and more, each with a name of its own`, () => {
  ok(CASES.length >= CASES_MIN, `${CASES.length} cases`);
  for (const names of [CASES.map(({ what }) => what), CASES.map(({ id }) => id)])
    deepStrictEqual(
      names.filter((name, i) => names.indexOf(name) !== i),
      [],
    );
});

test('Every case has its answer over HTTP/1.1', () => judgeAll(CASES, plain, 'whole'));

test('Every case has its answer over one connection of HTTP/2', () => judgeAll(CASES, multiplexed, 'whole'));

test('A case over TLS has the same answer', () => judgeAll(some(0), secure, 'frames'));

test('A case whose frames come one by one has the same answer over HTTP/2', () =>
  judgeAll(some(1), multiplexed, 'frames'));

test('A case that comes byte by byte has the same answer over HTTP/1.1', () =>
  judgeAll(some(2), plain, 'bytes'));

test('A case that comes byte by byte has the same answer over HTTP/2', () =>
  judgeAll(some(3), multiplexed, 'bytes'));
