/** A client that closes while it has not read yet: its close frame waits for the answers, but not for a script that gives none. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import type { ClientHttp2Session } from 'node:http2';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GOODBYE_MS_MAX } from '../../src/websocket/websocket-limits.ts';
import { openWebSocket } from '../support/raw-websocket.ts';
import { TestGateway } from '../support/test-gateway.ts';
import { close, OPCODE, text } from '../support/websocket-frames.ts';

/** More than what the stream lets through to a client that does not read. */
const MESSAGE_BYTES = 512 * 1024;

const SCRIPT = `local httpd = require 'httpd'
httpd.register_handler('/echo', function()
    local ws = httpd.websocket()
    for message in ws:messages() do ws:send(message) end
end)
httpd.register_handler('/deaf', function()
    local ws = httpd.websocket()
    repeat httpd.sleep(0.01) until not ws:send('tick')
end)`;

let gateway: TestGateway;
let session: ClientHttp2Session;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT });
  session = await gateway.session();
});
after(() => gateway.stop());

test('A message is sent whole to a client that has closed and reads late, a script that takes no message ends', async () => {
  const carrier = { kind: 'h2', session } as const;
  const slow = await openWebSocket(carrier, '/echo');
  const deaf = await openWebSocket(carrier, '/deaf');
  const message = 'm'.repeat(MESSAGE_BYTES);
  slow.stream.pause();
  slow.send(text(message));
  slow.send(text('the last one'));
  slow.send(close(1000));
  deaf.send(text('never taken'));
  deaf.send(close(1000));
  // the time is what is tested: nothing tells a client that the gateway still waits
  await sleep(GOODBYE_MS_MAX * 1.2);
  slow.stream.resume();
  await Promise.all([slow.until(), deaf.until()]);
  const last = slow.frames.at(-1);
  strictEqual(last?.opcode, OPCODE.close);
  strictEqual(last.payload.readUInt16BE(), 1000);
  const answers = slow.frames.slice(0, -1);
  const ends = answers.flatMap(({ fin }, i) => (fin ? [i] : []));
  strictEqual(ends.length, 2, 'both messages have an end');
  const bytes = answers.map(({ payload }) => payload);
  strictEqual(Buffer.concat(bytes).toString(), `${message}the last one`);
  deepStrictEqual(
    [deaf.ended, deaf.frames.at(-1)?.opcode, deaf.frames.at(-1)?.payload.readUInt16BE()],
    [true, OPCODE.close, 1000],
  );
  slow.end();
  deaf.end();
});
