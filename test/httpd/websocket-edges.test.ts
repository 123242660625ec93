/** `httpd.websocket` with extreme values, from other requests, and seen by hooks. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';
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
}
