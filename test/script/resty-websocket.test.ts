/** `require 'resty.websocket.server'`: scripts that were written for lua-resty-websocket of OpenResty serve WebSockets here. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { after, before } from 'node:test';
import { calmTest } from '../support/calm.ts';
import { eventually, ScriptHarness } from '../support/script-harness.ts';
import { TRANSPORTS, WebSocketPeer } from '../support/websocket-peer.ts';

/** The loop that public scripts have, with `ngx` for what it asks beside the library. */
const SCRIPT = `
local httpd = require "httpd"
local lines = {}
local function tell(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    lines[#lines + 1] = table.concat(parts, " ")
end
httpd.register_handler("/told", function() httpd.write(nil, table.concat(lines, "\\n")) lines = {} end)

local ngx = { ERR = "err", INFO = "info", log = function(_, ...) tell(...) end, exit = function() httpd.exit() end }

httpd.register_handler("/echo", function()
    local server = require "resty.websocket.server"
    local wb, err = server:new{
        timeout = 200,
        max_payload_len = 65535,
    }
    if not wb then
        ngx.log(ngx.ERR, "failed to new websocket: ", err)
        return ngx.exit(444)
    end
    while true do
        local data, typ, err = wb:recv_frame()
        if wb.fatal then
            ngx.log(ngx.ERR, "failed to receive frame: ", err)
            return ngx.exit(444)
        end
        if not data then
            if not string.find(err, "timeout", 1, true) then return ngx.exit(444) end
            local bytes, err = wb:send_ping()
            if not bytes then
                ngx.log(ngx.ERR, "failed to send ping: ", err)
                return ngx.exit(444)
            end
            tell("pinged", bytes)
        elseif typ == "close" then
            tell("close", data, err)
            break
        elseif typ == "ping" then
            wb:send_pong(data)
        elseif typ == "text" then
            local bytes, err = wb:send_text(data)
            if not bytes then
                ngx.log(ngx.ERR, "failed to send text: ", err)
                return ngx.exit(444)
            end
            tell("sent", bytes)
        elseif typ == "binary" then
            wb:send_binary(data)
        end
    end
    tell("closed", wb:send_close())
end)

httpd.register_handler("/edges", function()
    local server = require "resty.websocket.server"
    tell("masked", server:new { send_masked = true })
    local wb = server:new { timeout = 20, max_send_len = 4, max_recv_len = 8 }
    tell("again", select(2, server:new {}))
    tell("timeout", wb:recv_frame())
    tell("fatal", wb.fatal, wb:set_timeout(30000))
    tell("code", wb:send_close(70000), wb.fatal)
    tell("pong", wb:send_pong("1234"), wb:send_ping(12))
    tell("frame", wb:send_frame(true, 1, "four"))
    tell("long", wb:send_text("12345"))
    tell("after", wb:recv_frame())
end)
httpd.register_handler("/text", function()
    local wb = require "resty.websocket.server":new()
    tell("text", wb:send_text("\\xff"))
end)
httpd.register_handler("/closes", function()
    local wb = require "resty.websocket.server":new()
    tell("sends", wb:send_close(4000, "enough, enough!"), wb.fatal)
    tell("then", wb:recv_frame())
end)
httpd.register_handler("/fragment", function()
    local wb = require "resty.websocket.server":new()
    tell("fragment", wb:send_frame(false, 1, "x"))
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

/** What the script has told, when that many lines have come. */
async function told(count: number): Promise<string[]> {
  const lines: string[] = [];
  const limit = performance.now() + 30_000;
  while (lines.length < count) {
    ok(performance.now() < limit, lines.join());
    lines.push(...(await harness.request('/told')).text.split('\n').filter(Boolean));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return lines;
}

for (const transport of TRANSPORTS) {
  test(`${transport}: the loop of a public script echoes, pings and ends with its client`, async () => {
    const fields = { 'sec-websocket-protocol': 'chat.v2, chat.v1' };
    const peer = await WebSocketPeer.connect(port, transport, '/echo', { fields });
    strictEqual(peer.answer.headers['sec-websocket-protocol'], 'chat.v2');
    peer.send('hello');
    strictEqual(await peer.message(), 'hello');
    peer.send(Buffer.from('\xff', 'latin1'));
    strictEqual(await peer.message(1), 'binary:\xff');
    peer.send('in ', { fin: false });
    peer.send('parts');
    strictEqual(await peer.message(2), 'in parts');
    // the script waits for 0.2 s, and a ping of the gateway's own comes as often
    await eventually(() => strictEqual(peer.pings >= 1, true));
    peer.close(3001, 'bye');
    strictEqual(await peer.closed(), 3001);
    const lines = await told(4);
    deepStrictEqual(
      lines.filter((line) => line !== 'pinged 2'),
      ['sent 7', 'sent 10', 'close bye 3001', 'closed 2'],
    );
    await harness.expectNothingOpen();
  });
}

test('A client that goes without a close frame, or closes without a code, is told as OpenResty tells it', async () => {
  const gone = await WebSocketPeer.connect(port, 'HTTP/1.1', '/echo');
  gone.destroy();
  match((await told(1))[0] ?? '', /^failed to receive frame: +failed to receive the first 2 bytes: closed$/);
  const closing = await WebSocketPeer.connect(port, 'HTTP/1.1', '/echo');
  closing.close();
  deepStrictEqual(await told(2), ['close  nil', 'closed 2']);
  closing.destroy();
});

test('Limits, wrong calls and what a server of the gateway does not do return nil and why', async () => {
  const peer = await WebSocketPeer.connect(port, 'HTTP/1.1', '/edges');
  strictEqual(await peer.message(), 'four');
  deepStrictEqual(await told(9), [
    'masked nil send_masked is not for servers',
    'again the connection of this request is a WebSocket',
    'timeout nil nil failed to receive the first 2 bytes: timeout',
    'fatal nil 1',
    'code nil nil',
    'pong 6 4',
    'frame 6',
    'long nil payload too big',
    'after nil nil fatal error already happened',
  ]);
  peer.destroy();
  const text = await WebSocketPeer.connect(port, 'HTTP/1.1', '/text');
  match((await told(1))[0] ?? '', /^text nil failed to send frame: .*UTF-8/);
  text.destroy();
  const fragment = await WebSocketPeer.connect(port, 'HTTP/1.1', '/fragment');
  match((await told(1))[0] ?? '', /^fragment nil fragments are made by the gateway/);
  fragment.destroy();
  const closes = await WebSocketPeer.connect(port, 'HTTP/1.1', '/closes');
  await eventually(() => strictEqual(closes.code, 4000));
  strictEqual(closes.reason, 'enough, enough!');
  closes.close(4000);
  deepStrictEqual(await told(2), [
    'sends 19 nil',
    'then nil nil failed to receive the first 2 bytes: closed',
  ]);
  await harness.expectNothingOpen();
});

test('A request for no WebSocket is answered by new, which says why', async () => {
  const peer = await WebSocketPeer.connect(port, 'HTTP/1.1', '/echo', {
    fields: { 'sec-websocket-version': '8' },
  });
  strictEqual(peer.answer.status, 426);
  match(
    (await told(1))[0] ?? '',
    /^failed to new websocket: +Cannot open a WebSocket: Sec-WebSocket-Version/,
  );
  peer.destroy();
});
