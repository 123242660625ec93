/** Clients of event streams and subscriptions that go at each stage of their request, over both protocols: what served them ends, and nothing is left. */
import assert from 'node:assert/strict';
import { constants } from 'node:http2';
import { after, before, test } from 'node:test';
import { type ClientProtocol, PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
httpd.register_handler('/stage', function(env)
    local tag = env.QUERY_INFO
    local stage = tag:match('%a+$')
    local mark <close> = setmetatable({}, {__close = function() print('closed ' .. tag .. ';') end})
    local sub = httpd.subscribe('nothing', 'more')
    local function at() print('at ' .. tag .. ';') end
    if stage == 'head' then at() sub:recv() end
    local s = httpd.sse{heartbeat = 0.1}
    if stage == 'begun' then at() sub:recv() end
    s:send('first')
    if stage == 'event' then at() sub:recv() end
    if stage == 'beats' then at() httpd.wait(httpd.spawn(function() for _ in sub:messages() do end end)) end
    if stage == 'blocked' then
        local event = ('x'):rep(200000)
        at()
        while s:send(event) do end
    end
    if stage == 'compressed' then
        httpd.sleep(0.01)
        at()
        while s:send(tostring(math.random())) do httpd.sleep(0) end
    end
end)
httpd.register_handler('/count', function() httpd.write(nil, httpd.publish('nothing', 'x') .. ' ' .. httpd.publish('more', 'x')) end)`;
const STAGES = ['head', 'begun', 'event', 'beats', 'blocked', 'compressed'] as const;

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { words: ['--compress'] });
});
after(() => gateway.stop());

/** Asks, waits for the handler to be where it says, and goes. */
async function askAndGo(protocol: ClientProtocol, path: string, at: RegExp, reads: boolean): Promise<void> {
  if (protocol === 'h1') {
    const socket = await gateway.connect();
    if (reads) socket.resume();
    socket.on('error', () => undefined);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n`);
    await gateway.untilLog(at);
    socket.destroy();
    return;
  }
  const session = await gateway.session();
  const stream = session.request({ ':path': path, 'accept-encoding': 'gzip' });
  stream.on('error', () => undefined);
  if (reads) stream.resume();
  await gateway.untilLog(at);
  stream.close(constants.NGHTTP2_CANCEL);
}

for (const protocol of PROTOCOLS)
  for (const stage of STAGES)
    test(`${protocol}: a client that goes at the stage "${stage}" ends its handler, and all it held is given back`, async () => {
      const tag = `${protocol}-${stage}`;
      await askAndGo(protocol, `/stage?${tag}`, new RegExp(`at ${tag};`), stage !== 'blocked');
      await gateway.untilLog(new RegExp(`closed ${tag};`));
      await gateway.untilIdle();
      assert.equal((await gateway.ask('h1', '/count')).text, '0 0');
    });
