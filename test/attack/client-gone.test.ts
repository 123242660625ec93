/** A client that goes away, whatever its handler waits for: the coroutine ends, variables close, nothing is left. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { TestGateway } from '../support/test-gateway.ts';
import { childrenOf } from '../support/upgrading-gateway.ts';
import { WireClient } from '../support/wire-client.ts';

/** What the handler does when its client goes; all but the first have sent their head. */
const WAITS: Readonly<Record<string, string>> = {
  'before the head, for a process': `local pipe <close> = assert(io.popen('sleep 1000'))
    httpd.read(pipe, 1)`,
  'for the body': `head() httpd.read(nil, 1000)`,
  'for the body, line by line': `head() while httpd.read(nil, 'l') do end`,
  'for room at the client': `head() while true do httpd.write(nil, string.rep('x', 100000)) end`,
  'for room at the client, in a loop that looks away from errors': `head()
    while true do pcall(httpd.write, nil, string.rep('x', 100000)) end`,
  'for a file': `head()
    local file <close> = assert(io.open('$FOLDER/cert.pem'))
    while true do
        file:seek('set')
        httpd.read(file, 1000)
    end`,
  'for a FIFO': `head() local fifo <close> = assert(io.open('$FOLDER/gate', 'r+')) httpd.read(fifo, 1)`,
  'for a FIFO that nobody writes to be opened for writing': `head() assert(io.open('$FOLDER/nobody', 'w'))`,
  'for a process to say something': `head() local pipe <close> = assert(io.popen('sleep 1000')) httpd.read(pipe, 1)`,
  'for a process to take something': `head() local pipe <close> = assert(io.popen('sleep 1000', 'w'))
    while true do httpd.write(pipe, string.rep('x', 100000)) end`,
  'for a process to end': `head() local pipe = assert(io.popen('sleep 1000 <&- >&-')) pipe:close()`,
  'for a process that is os.execute': `head() os.execute('sleep 1000')`,
  'for the lines of a process': `head() local pipe <close> = assert(io.popen('sleep 1000')) for _ in pipe:lines() do end`,
  'in a coroutine of its own, under pcall': `head()
    local inner = coroutine.wrap(function()
        local pipe <close> = assert(io.popen('sleep 1000'))
        pcall(httpd.read, pipe, 1)
        httpd.write(nil, 'not reached')
    end)
    while true do pcall(inner) end`,
};

const SCRIPT = `local httpd = require 'httpd'
local function head()
    httpd.header{[':status'] = '200'}
    httpd.write(nil, 'begun')
end
local function register(name, wait)
    httpd.register_handler(name, function(env)
        local guard <close> = setmetatable({}, {__close = function() print('closed ' .. env.QUERY_INFO) end})
        print('waits ' .. env.QUERY_INFO)
        wait()
        print('not reached ' .. env.QUERY_INFO)
    end)
end
${Object.values(WAITS)
  .map((body, i) => `register('/${i}', function() ${body} end)`)
  .join('\n')}
httpd.register_handler('/alive', function() httpd.write(nil, 'alive') end)`;

/** How a client goes. Each starts the request and returns what ends it. */
const WAYS: Readonly<Record<string, (gateway: TestGateway, path: string) => Promise<() => void>>> = {
  'HTTP/1.1 connection': async (gateway, path) => {
    const socket = await gateway.connect();
    // nothing is read, so that a window can be full
    socket.pause();
    socket.write(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nbegin`);
    return () => socket.destroy();
  },
  'HTTP/2 stream': async (gateway, path) => {
    const wire = new WireClient(await gateway.connect('h2'));
    wire.request(1, path, { method: 'POST', open: true });
    wire.data(1, 'begin');
    return () => wire.reset(1, 8);
  },
  'HTTP/2 connection': async (gateway, path) => {
    const wire = new WireClient(await gateway.connect('h2'));
    wire.request(1, path, { method: 'POST', open: true });
    wire.data(1, 'begin');
    return () => wire.destroy();
  },
};

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { apart: true });
  execFileSync('mkfifo', [gateway.folder.file('gate'), gateway.folder.file('nobody')]);
});
after(() => gateway.stop());

let request = 0;
for (const [way, begin] of Object.entries(WAYS)) {
  test(`A handler ends wherever it waits when its ${way} goes`, async () => {
    const begun = await Promise.all(
      Object.keys(WAITS).map(async (what, i) => {
        const mark = `${request++};`;
        const leave = await begin(gateway, `/${i}?${mark}`);
        await gateway.untilLog(new RegExp(`waits ${mark}`));
        return { what, mark, leave };
      }),
    );
    await gateway.untilCounters(
      (now) => now.exchanges === begun.length && now.pipes >= 6,
      'all handlers wait',
    );
    for (const { leave } of begun) leave();
    for (const { what, mark } of begun) {
      await gateway.untilLog(new RegExp(`closed ${mark}`)).catch(() => assert.fail(`It still waits ${what}`));
      assert.ok(!gateway.log.includes(`not reached ${mark}`), `It went on ${what}`);
    }
    await gateway.untilIdle();
    // no process is left
    await gateway.running.until(() => childrenOf(gateway.process.pid).length === 0);
    assert.equal((await gateway.ask('h2', '/alive')).text, 'alive');
    assert.doesNotMatch(gateway.log, / error worker-1 Uncaught/);
  });
}
