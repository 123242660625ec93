/** `httpd.websocket`: what scripts do with WebSockets, over both versions of HTTP. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { after, before } from 'node:test';
import { calmTest } from '../support/calm.ts';
import { eventually, ScriptHarness } from '../support/script-harness.ts';
import { WEBSOCKET_FAULTS } from '../support/websocket-faults.ts';
import { continuation, text } from '../support/websocket-frames.ts';
import { type PeerOptions, TRANSPORTS, WebSocketPeer } from '../support/websocket-peer.ts';

const SCRIPT = `
local httpd = require "httpd"
local function on(name, fn, options) httpd.register_handler(name, fn, options) end
local told, opened = {}, false
local function tell(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    told[#told + 1] = table.concat(parts, " ")
end
on("/told", function() local all = table.concat(told, "\\n") told = {} httpd.header { [":status"] = 200 } httpd.write(nil, all) end)

on("/echo", function()
    local ws = assert(httpd.websocket { protocols = { "b.v2", "a.v1" }, deflate = true, max = 100000 })
    for message, kind in ws:messages() do assert(ws:send(message, kind)) end
    tell("echo", ws.protocol, ws.code, ws.reason)
end)
on("/limited", function()
    local ws, message, code = httpd.websocket { max = 10, origins = { "https://good.example" }, protocols = {} }
    if not ws then tell("refused", code, message) return end
    local got, why, what = ws:recv()
    tell("limited", got, what, ws.code, why)
end)
on("/same", function() if httpd.websocket { origins = "same" } then tell("same") end end)
on("/two", function()
    local ws = httpd.websocket()
    local answers = httpd.spawn(function()
        for i = 1, 3 do ws:send("tick " .. i) httpd.sleep(0) end
        local ok, message = pcall(ws.recv, ws)
        tell("second", ok, message)
        ws:send("ready")
    end)
    for message in ws:messages() do ws:send("got " .. message) end
    httpd.wait(answers)
end)
on("/misuse", function()
    local ws = httpd.websocket()
    local function wrong(name, ...) tell(name, select(2, pcall(...))) end
    wrong("again", httpd.websocket)
    wrong("read", httpd.read, nil, 1)
    wrong("write", httpd.write, nil, "x")
    wrong("header", httpd.header, { [":status"] = 200 })
    wrong("copy", httpd.copy, nil, ws)
    wrong("form", httpd.form)
    wrong("text", ws.send, ws, "\\xff")
    wrong("kind", ws.send, ws, "x", "ping")
    wrong("code", ws.close, ws, 1005)
    wrong("reason", ws.close, ws, 1000, ("x"):rep(124))
    wrong("format", httpd.read, ws, 5)
    wrong("other", ws.recv, httpd.spawn(print))
    wrong("sort", table.sort, { 1, 2, 3 }, function() ws:recv() end)
    tell("timeout", select(3, ws:recv(0.01)), select(3, ws:recv(0)))
    ws:send("waited")
    tell("kept", tostring(ws):match("^%a+"), ws.code, ws.nothing)
    tell("stream", httpd.read(ws), httpd.write(ws, "written"), httpd.close(ws), ws.code)
    tell("closed", select(3, ws:send("x")), select(3, ws:recv()), ws:close(), ws.code)
end)
on("/close", function()
    do
        local ws <close> = httpd.websocket()
    end
    tell("still here")
end)
on("/closes", function() httpd.websocket():close(4001, "enough") end)
on("/returns", function() httpd.websocket() end)
on("/fails", function() httpd.websocket() error("no") end)
on("/exits", function() httpd.websocket() httpd.exit() end)
on("/collected", function()
    httpd.websocket()
    for _ = 1, 100 do collectgarbage() httpd.sleep(0.01) end
end)
on("/cpu", function()
    local ws = httpd.websocket()
    for message in ws:messages() do
        local t = os.clock()
        while message == "loop" or os.clock() - t < 0.03 do end
        ws:send(message)
    end
end, { cpu = 0.1 })
on("/silent", function()
    local ws = httpd.websocket { ping = 1 }
    local _, message, code = ws:recv()
    tell("silent", code, message, ws.code)
    httpd.sleep(10)
end, { timeout = 0.3 })
on("/flood", function()
    local ws = httpd.websocket()
    local chunk, sent = ("x"):rep(100000), 0
    while ws:send(chunk) do sent = sent + 1 end
    tell("flood", sent < 1000, ws.code)
end)
on("/slow", function()
    local ws = httpd.websocket()
    opened = false
    ws:recv()
    while not opened do httpd.sleep(0.01) end
    local n, bytes = 0, 0
    for message in ws:messages() do n, bytes = n + 1, bytes + #message end
    tell("slow", n, bytes)
end)
on("/go", function() opened = true httpd.write(nil, "gone") end)
on("/large", function()
    local ws = httpd.websocket { max = 1 << 22, deflate = true }
    for message in ws:messages() do
        local helper = httpd.spawn(function() ws:send("short") end)
        ws:send(message)
        httpd.wait(helper)
    end
end)
`;

let harness: ScriptHarness;
let port: number;

before(async () => {
  harness = await ScriptHarness.load(SCRIPT, { webSocketsMax: 8 });
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

/** What handlers have told since the last call. */
async function told(): Promise<string> {
  return (await harness.request('/told')).text;
}

async function toldAtLast(count = 1): Promise<string[]> {
  const lines: string[] = [];
  const limit = performance.now() + 30_000;
  while (lines.length < count) {
    ok(performance.now() < limit, `${lines.join()}\n${harness.log.join('\n')}`);
    lines.push(...(await told()).split('\n').filter(Boolean));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return lines;
}

for (const transport of TRANSPORTS) {
  const isStream = transport === 'HTTP/2';
  const connect = (path: string, options?: PeerOptions): Promise<WebSocketPeer> =>
    WebSocketPeer.connect(port, transport, path, options);

  test(`${transport}: messages of both kinds go both ways, and a close frame is answered`, async () => {
    const peer = await connect('/echo', { fields: { 'sec-websocket-protocol': 'x, a.v1 ,b.v2' } });
    strictEqual(peer.answer.status, isStream ? 200 : 101);
    strictEqual(peer.answer.headers['sec-websocket-protocol'], 'b.v2');
    strictEqual(
      peer.answer.headers['sec-websocket-accept'],
      isStream ? undefined : 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
    );
    strictEqual(peer.answer.headers['sec-websocket-extensions'], undefined);
    peer.send('hello');
    strictEqual(await peer.message(), 'hello');
    peer.send(Buffer.from('\xff\x00', 'latin1'));
    strictEqual(await peer.message(1), 'binary:\xff\x00');
    peer.send('');
    strictEqual(await peer.message(2), '');
    peer.send('in ', { fin: false });
    peer.ping('between');
    peer.send('parts');
    strictEqual(await peer.message(3), 'in parts');
    const large = 'é'.repeat(40_000);
    peer.send(large);
    strictEqual(await peer.message(4), large);
    peer.close(3000, 'bye');
    strictEqual(await peer.closed(), 3000);
    deepStrictEqual(await toldAtLast(), ['echo b.v2 3000 bye']);
    await harness.expectNothingOpen();
    strictEqual(harness.share.used('websockets'), 0);
  });

  test(`${transport}: messages are compressed where both sides want it`, async () => {
    const peer = await connect('/echo', { deflate: true });
    match(
      peer.answer.headers['sec-websocket-extensions'] ?? '',
      /^permessage-deflate; server_no_context_takeover/,
    );
    for (const [i, text] of ['short', 'long '.repeat(10_000), 'again '.repeat(300)].entries()) {
      peer.send(text, { compress: true });
      strictEqual(await peer.message(i), text);
    }
    // inflated it is longer than the option max
    peer.send('bomb'.repeat(50_000), { compress: true });
    strictEqual(await peer.closed(), 1009);
    await toldAtLast();
    await harness.expectNothingOpen();
  });

  test(`${transport}: a close frame that comes while a message is being compressed ends in order`, async () => {
    const peer = await connect('/echo', { deflate: true });
    const text = Array.from({ length: 9000 }, (_, i) => String(i * 7919)).join();
    for (let i = 0; i < 4; i++) peer.send(text);
    peer.close(1000);
    strictEqual(await peer.closed(), 1000);
    // the handler may have been told by the message that it could not send
    await told();
    await harness.expectNothingOpen();
  });

  test(`${transport}: a wrong handshake is answered as RFC 6455 says`, async () => {
    const refusal = async (path: string, fields: PeerOptions['fields']): Promise<number> => {
      const peer = await connect(path, { fields: fields ?? {} });
      peer.destroy();
      return peer.answer.status;
    };
    strictEqual(await refusal('/limited', { 'sec-websocket-version': '8' }), 426);
    strictEqual(await refusal('/limited', { 'sec-websocket-version': undefined }), 400);
    strictEqual(await refusal('/limited', { 'sec-websocket-protocol': 'a,,b' }), 400);
    strictEqual(await refusal('/limited', { 'sec-websocket-protocol': 'a,a' }), 400);
    strictEqual(await refusal('/limited', { 'sec-websocket-extensions': 'x;;' }), 400);
    strictEqual(await refusal('/limited', { origin: 'https://evil.example' }), 403);
    const lines = await toldAtLast(6);
    match(lines[0] ?? '', /^refused invalid Cannot open a WebSocket: Sec-WebSocket-Version is "8", and 13/);
    match(lines[5] ?? '', /^refused denied .*pages of "https:\/\/evil.example" may not$/);
    strictEqual(await refusal('/same', { origin: 'https://localhost:1' }), 403);
    ok((await refusal('/same', { origin: 'https://localhost' })) < 300);
    deepStrictEqual(await toldAtLast(), ['same']);
    if (isStream) return;
    strictEqual(await refusal('/limited', { 'sec-websocket-key': 'short' }), 400);
    strictEqual(await refusal('/limited', { upgrade: 'h2c' }), 426);
    strictEqual(await refusal('/limited', { connection: 'keep-alive' }), 426);
    const old = await connect('/limited', { fields: { 'sec-websocket-version': '12' } });
    strictEqual(old.answer.headers['sec-websocket-version'], '13');
    strictEqual(old.answer.headers['upgrade'], 'websocket');
    old.destroy();
    await toldAtLast(4);
  });

  test(`${transport}: what breaks a rule or a limit closes with its code, and the script is told`, async () => {
    for (const { bytes, code, kind, why } of WEBSOCKET_FAULTS) {
      const peer = await connect('/limited');
      peer.raw(bytes);
      strictEqual(await peer.closed(), code);
      const [line = ''] = await toldAtLast();
      if (why === undefined) continue;
      match(line, new RegExp(`^limited nil ${kind} ${code} `));
      match(line, why);
    }
    await harness.expectNothingOpen();
  });

  test(`${transport}: text that cannot become UTF-8 closes with 1007 before its message is whole`, async () => {
    const broken = Buffer.alloc(20_000, 'x');
    broken[10_000] = 0xff;
    const beginnings = [
      [text('good', { fin: false }), continuation(Buffer.from([0x62, 0xc3, 0x28]), { fin: false })],
      [text(Buffer.from([0xf4]), { fin: false }), continuation(Buffer.from([0x90]), { fin: false })],
      // of a frame that is longer than what has come
      [text(broken, { announces: 90_000n })],
    ];
    for (const bytes of beginnings) {
      const peer = await connect('/echo');
      peer.raw(Buffer.concat(bytes));
      strictEqual(await peer.closed(), 1007);
      match((await toldAtLast())[0] ?? '', /^echo nil 1007 .*invalid UTF-8/);
    }
    const peer = await connect('/echo');
    const euro = Buffer.from('€');
    for (const byte of [0, 1])
      peer.raw((byte === 0 ? text : continuation)(euro.subarray(byte, byte + 1), { fin: false }));
    peer.ping();
    peer.raw(continuation(euro.subarray(2)));
    strictEqual(await peer.message(), '€');
    peer.close(1000);
    strictEqual(await peer.closed(), 1000);
    await toldAtLast();
  });

  test(`${transport}: two coroutines receive and send at once, and only one receives`, async () => {
    const peer = await connect('/two');
    await peer.message(3);
    deepStrictEqual(peer.messages, ['tick 1', 'tick 2', 'tick 3', 'ready']);
    match((await toldAtLast())[0] ?? '', /^second false .*another task waits for the next message$/);
    peer.send('this');
    strictEqual(await peer.message(4), 'got this');
    peer.close(1000);
    strictEqual(await peer.closed(), 1000);
  });

  test(`${transport}: a handler ends its WebSocket by closing, returning, failing and leaving`, async () => {
    const closing = async (path: string): Promise<string> => {
      const peer = await connect(path);
      await eventually(() => ok(peer.code !== undefined));
      peer.close(peer.code);
      await peer.closed();
      return `${peer.code} ${peer.reason}`;
    };
    strictEqual(await closing('/closes'), '4001 enough');
    strictEqual(await closing('/returns'), '1000 ');
    strictEqual(await closing('/exits'), '1000 ');
    strictEqual(await closing('/fails'), '1011 ');
    strictEqual(await closing('/collected'), '1000 ');
    strictEqual(await closing('/close'), '1000 ');
    deepStrictEqual(await toldAtLast(), ['still here']);
    await harness.expectNothingOpen();
  });

  test(`${transport}: processor time counts for each message`, async () => {
    const peer = await connect('/cpu');
    for (let i = 0; i < 8; i++) peer.send(String(i));
    strictEqual(await peer.message(7), '7');
    peer.send('loop');
    await eventually(() => strictEqual(peer.code, 1011));
    peer.destroy();
    await harness.expectNothingOpen();
    match(harness.log.join('\n'), /CPU|limit=cpu/);
  });

  test(`${transport}: an open WebSocket may be silent, and one whose client answers no ping ends`, async () => {
    const alive = await connect('/silent');
    // many times the limit of a silent handler
    await eventually(() => ok(alive.pings >= 2));
    strictEqual(alive.ended, false);
    const dead = await connect('/silent', { isDead: true });
    strictEqual(await dead.closed(), 'gone');
    match(
      (await toldAtLast())[0] ?? '',
      /^silent timeout WebSocket is closed: its client answers no ping 1006$/,
    );
    // the handler goes on, and has its time again
    await eventually(() => match(harness.log.join('\n'), /Time limit reached/));
    alive.stream.end();
    match((await toldAtLast())[0] ?? '', /^silent closed .* 1006$/);
    alive.destroy();
  });

  test(`${transport}: a sender waits for a client that does not read, and ends with it`, async () => {
    const peer = await connect('/flood');
    peer.stream.pause();
    await new Promise((resolve) => setTimeout(resolve, 100));
    peer.destroy();
    match((await toldAtLast())[0] ?? '', /^flood true 1006$/);
    await harness.expectNothingOpen();
  });

  test(`${transport}: messages that a script does not take hold their client back`, async () => {
    const peer = await connect('/slow');
    const sentAll = (): boolean => peer.stream.writableLength === 0;
    const chunk = Buffer.alloc(256 * 1024, 'm');
    let sent = 0;
    const before = harness.counters.get('unreadBodyBytes');
    peer.send('begin');
    for (; sent < 64; sent++) peer.send(chunk);
    await eventually(() => ok(harness.counters.get('unreadBodyBytes') - before > 1024 * 1024));
    ok(harness.counters.get('unreadBodyBytes') - before < 4 * 1024 * 1024);
    strictEqual(sentAll(), false);
    await harness.request('/go');
    peer.close(1000);
    deepStrictEqual(await toldAtLast(), [`slow ${sent} ${sent * chunk.length}`]);
    await harness.expectNothingOpen();
    strictEqual(harness.counters.get('unreadBodyBytes'), before);
  });

  test(`${transport}: a long message goes in fragments that no other message comes between`, async () => {
    for (const deflate of [false, true]) {
      const peer = await connect('/large', { deflate });
      const text = 'abc'.repeat(500_000);
      peer.send(text);
      await peer.message(1);
      strictEqual(peer.messages.includes(text), true);
      strictEqual(peer.messages.includes('short'), true);
      peer.close(1000);
      strictEqual(await peer.closed(), 1000);
    }
    await harness.expectNothingOpen();
  });
}

test('What is misuse is an error that says so, and a WebSocket is a stream', async () => {
  const peer = await WebSocketPeer.connect(port, 'HTTP/1.1', '/misuse');
  strictEqual(await peer.message(), 'waited');
  peer.send('read me');
  const lines = await toldAtLast(17);
  const text = lines.join('\n');
  for (const name of ['again', 'read', 'write', 'form'])
    match(text, new RegExp(`^${name} .*the connection of this request is a WebSocket$`, 'm'));
  match(text, /^header .*headers already sent$/m);
  match(text, /^copy .*(cannot read from a WebSocket|is a WebSocket)$/m);
  match(text, /^text .*UTF-8/m);
  match(text, /^kind .*"text" or "binary" expected/m);
  match(text, /^code .*code from 1000 to 4999/m);
  match(text, /^reason .*limit of 123/m);
  match(text, /^format .*read as a whole/m);
  match(text, /^other .*WebSocket expected/m);
  match(text, /^sort .*cannot wait for a message here/m);
  match(text, /^timeout timeout timeout$/m);
  match(text, /^kept WebSocket nil nil$/m);
  match(text, /^stream read me true true 1000$/m);
  match(text, /^closed closed closed true 1000$/m);
  peer.destroy();
});

test('A worker has so many WebSockets, and refuses more', async () => {
  await harness.expectNothingOpen();
  strictEqual(harness.share.used('websockets'), 0);
  const peers: WebSocketPeer[] = [];
  for (let i = 0; i < 8; i++) peers.push(await WebSocketPeer.connect(port, 'HTTP/1.1', '/echo'));
  const refused = await WebSocketPeer.connect(port, 'HTTP/1.1', '/limited');
  strictEqual(refused.answer.status, 503);
  strictEqual(refused.answer.headers['retry-after'], '5');
  match((await toldAtLast())[0] ?? '', /^refused limit .*8 WebSockets are open and the limit is 8$/);
  for (const peer of [...peers, refused]) peer.destroy();
  await harness.expectNothingOpen();
});
