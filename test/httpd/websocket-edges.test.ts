/** `httpd.websocket` with extreme values, from other requests, and seen by hooks. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { after, before } from 'node:test';
import { TASKS_MAX } from '../../src/script/run/task-group.ts';
import { calmTest } from '../support/calm.ts';
import { collectGarbage } from '../support/collect-garbage.ts';
import { ScriptHarness } from '../support/script-harness.ts';
import { waitFor } from '../support/test-front-end.ts';
import { untilStill } from '../support/until-still.ts';
import { TRANSPORTS, WebSocketPeer } from '../support/websocket-peer.ts';

const SCRIPT = `
local httpd = require "httpd"
local told = {}
local function tell(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    told[#told + 1] = table.concat(parts, " ")
end
httpd.register_handler("/told", function() httpd.write(nil, table.concat(told, "\\n")) told = {} end)
httpd.hook("response", function(env, head) if env.PATH_INFO ~= "/told" then tell("response", env.PATH_INFO, head.status) end end)
httpd.hook("log", function(env, record)
    if env.PATH_INFO ~= "/told" then tell("log", env.PATH_INFO, record.status, record.aborted, record.bytes > 0) end
end)
local kept
httpd.register_handler("/values", function()
    local ws = httpd.websocket()
    for _, seconds in ipairs { -1, 0 / 0, math.huge, -math.huge, 1e300 } do tell("recv", (pcall(ws.recv, ws, seconds))) end
    tell("now", select(3, ws:recv(0)))
    for _, code in ipairs { 0, 999, 1004, 1005, 1006, 1015, 2999, 5000, -1, 1 << 40 } do
        tell("close", (pcall(ws.close, ws, code)))
    end
    tell("reason", (pcall(ws.close, ws, 1000, ("x"):rep(124))), (pcall(ws.close, ws, 1000, "\\xff")), ws.code)
    tell("closed", ws:close(4999, ("x"):rep(123)), #ws.reason, select(3, ws:send("x")))
end)
httpd.register_handler("/keeps", function()
    kept = httpd.websocket()
    for message in kept:messages() do kept:send("own " .. message) end
end)
httpd.register_handler("/other", function()
    tell("other", pcall(kept.recv, kept))
    tell("sent", kept:send("from another request"))
    httpd.write(nil, "x")
end)
httpd.register_handler("/both", function(env)
    local ws = httpd.websocket { deflate = env.QUERY_INFO == "deflate" }
    kept = ws
    local parts = {}
    for i = 1, 20000 do parts[i] = tostring(i * 7919 % 104729) end
    local chunk = table.concat(parts, ",")
    local sender = httpd.spawn(function()
        local ok, code, sent = true, nil, 0
        while ok do
            ok, _, code = ws:send(chunk)
            sent = sent + 1
            -- more than goes to a client that does not read: to one that reads, much would go until its close is answered
            if sent > 500 then httpd.sleep(0.1) end
        end
        tell("sender", code, ws.code)
    end)
    local message, _, code = ws:recv()
    tell("receiver", message, code, ws.code)
    httpd.wait(sender)
    tell("over", ws.code)
end)
httpd.register_handler("/stop", function()
    kept:close(4000, "enough")
    httpd.write(nil, "x")
end)
httpd.register_handler("/thousand", function()
    kept = httpd.websocket()
    local chunk = ("x"):rep(64 * 1024)
    local tasks, ended = {}, 0
    for i = 1, 1000 do
        tasks[i] = httpd.spawn(function() if not kept:send(chunk) then ended = ended + 1 end end)
        if not tasks[i] then break end
    end
    tell("waits", #tasks)
    for _, task in ipairs(tasks) do httpd.wait(task) end
    tell("thousand", ended > 0, kept.code)
end)
httpd.register_handler("/late", function()
    tell("late", select(3, kept:send("x")), select(3, kept:recv()), kept:close(), kept.code)
    httpd.write(nil, "x")
end)
`;

let harness: ScriptHarness;
let port: number;
before(async () => {
  harness = await ScriptHarness.load(SCRIPT);
  port = await harness.listen();
});
after(() => harness.close());

/** An attempt begins without clients and lines of the one before it. */
function test(name: string, body: () => Promise<void>): void {
  calmTest(name, async () => {
    WebSocketPeer.destroyAll();
    await harness.expectNothingOpen();
    await harness.request('/told');
    await body();
  });
}

/** Lines that begin so, in order; further ones that have come are dropped. */
async function told(count: number, beginning: RegExp): Promise<string[]> {
  const lines: string[] = [];
  const limit = performance.now() + 30_000;
  while (lines.length < count) {
    ok(performance.now() < limit, lines.join('\n'));
    lines.push(...(await harness.request('/told')).text.split('\n').filter((line) => beginning.test(line)));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return lines;
}

/** Waits until the client takes nothing more: what it may have had for itself has gone. */
async function whenHeldBack(peer: WebSocketPeer): Promise<void> {
  await untilStill(() => peer.stream.readableLength);
}

for (const transport of TRANSPORTS) {
  test(`${transport}: times, codes and reasons that cannot be are errors, and the WebSocket stays open`, async () => {
    const peer = await WebSocketPeer.connect(port, transport, '/values');
    const lines = await told(18, /^(?:recv|now|close|reason|closed|response .values) /);
    deepStrictEqual(lines.slice(0, 5), Array(5).fill('recv false'));
    strictEqual(lines[5], 'now timeout');
    deepStrictEqual(lines.slice(6, 16), Array(10).fill('close false'));
    strictEqual(lines[16], 'reason false false nil');
    strictEqual(lines[17], 'closed true 123 closed');
    peer.close(4999);
    strictEqual(await peer.closed(), 4999);
    // hooks of heads do not see what opens a WebSocket
    deepStrictEqual(await told(1, /^(?:log|response) .values/), [
      `log /values ${transport === 'HTTP/2' ? 200 : 101} false true`,
    ]);
  });

  test(`${transport}: another request sends by a WebSocket that it does not serve, and is told when that is closed`, async () => {
    const peer = await WebSocketPeer.connect(port, transport, '/keeps');
    peer.send('first');
    strictEqual(await peer.message(), 'own first');
    await harness.request('/other');
    strictEqual(await peer.message(1), 'from another request');
    const lines = await told(2, /^(?:other|sent) /);
    match(lines[0] ?? '', /^other false .*another task waits for the next message$/);
    strictEqual(lines[1], 'sent true');
    peer.close(1000);
    strictEqual(await peer.closed(), 1000);
    await harness.request('/late');
    deepStrictEqual(await told(1, /^late /), ['late closed closed true 1000']);
    await harness.expectNothingOpen();
  });

  for (const query of ['', '?deflate'])
    test(`${transport}: a close amid a blocked send and a suspended receive ends both${query}`, async () => {
      const connect = (): Promise<WebSocketPeer> =>
        WebSocketPeer.connect(port, transport, `/both${query}`, { deflate: query !== '' });
      // by another request of the script: the client reads late, and still gets the close frame
      const late = await connect();
      late.stream.pause();
      await whenHeldBack(late);
      await harness.request('/stop');
      // nobody waits for the client any more
      deepStrictEqual((await told(2, /^(?:sender|receiver) /)).sort(), [
        'receiver nil closed 4000',
        'sender closed 4000',
      ]);
      late.stream.resume();
      await waitFor(() => late.code !== undefined, 'the close frame');
      late.close(4000);
      strictEqual(await late.closed(), 4000);
      deepStrictEqual(await told(1, /^over /), ['over 4000']);
      late.destroy();
      // by the client, whose frame comes amid a message
      const polite = await connect();
      polite.stream.pause();
      await whenHeldBack(polite);
      polite.close(3000);
      polite.stream.resume();
      strictEqual(await polite.closed(), 3000);
      deepStrictEqual((await told(3, /^(?:sender|receiver|over) /)).sort(), [
        'over 3000',
        'receiver nil closed 3000',
        'sender closed 3000',
      ]);
      // the client goes without a word
      const gone = await connect();
      gone.stream.pause();
      await whenHeldBack(gone);
      gone.destroy();
      deepStrictEqual((await told(3, /^(?:sender|receiver|over) /)).sort(), [
        'over 1006',
        'receiver nil closed 1006',
        'sender closed 1006',
      ]);
      polite.destroy();
      await harness.expectNothingOpen();
    });

  test(`${transport}: as many coroutines as a request may have send to a client that does not read, and hold no memory of the worker's`, async () => {
    const memory = (): number => {
      collectGarbage();
      const { arrayBuffers, heapUsed } = process.memoryUsage();
      return arrayBuffers + heapUsed;
    };
    await harness.request('/told');
    const before = memory();
    const peer = await WebSocketPeer.connect(port, transport, '/thousand');
    peer.stream.pause();
    deepStrictEqual(await told(1, /^waits /), [`waits ${TASKS_MAX}`]);
    await untilStill(() => harness.counters.get('bytesSentTotal'));
    // they have 16 MiB to send; a coroutine that waits takes some 2 KiB, and garbage may be among it
    ok(memory() - before < 10 * 1024 * 1024, `${memory() - before} bytes`);
    peer.destroy();
    deepStrictEqual(await told(1, /^thousand /), ['thousand true 1006']);
    await harness.expectNothingOpen();
  });
}
