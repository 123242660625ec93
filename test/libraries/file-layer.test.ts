/** The file layer from the side of scripts: when writes become visible, who gets failures, turns, and the ends of processes. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { inForm } from '../support/test-form.ts';
import { TestGateway } from '../support/test-gateway.ts';

const BIG_BYTES = inForm(1, 8) * 1024 * 1024;
const HOGS = 12;
const SMALL_MAX_MS = 20_000;
/** Requests that reach their limit, each at another moment of the opening. */
const SPENT_REQUESTS = inForm(5, 20);

const SCRIPT = `local httpd = require 'httpd'
local function say(...)
    local t = table.pack(...)
    for i = 1, t.n do t[i] = tostring(t[i]) end
    httpd.write(nil, table.concat(t, ' ') .. '\\n')
end
local function content(name)
    local file <close> = assert(io.open(name))
    return file:read('a')
end
local events = {
    flush = function(f) f:flush() end,
    seek = function(f) f:seek('cur') end,
    close = function(f) f:close() end,
    read = function(f) httpd.read(f, 1) end,
    time = function() os.execute('sleep 0.2') end,
    full = function(f) f:write(('x'):rep(1024 * 1024)); os.execute('sleep 0.2') end,
}
httpd.register_handler('/visible', function(env)
    local name = '$FOLDER/visible-' .. env.QUERY_INFO
    local f = assert(io.open(name, 'w+'))
    local parts = {}
    for i = 1, 5000 do
        local part = i .. ' '
        if i % 2 == 0 then f:write(part) else httpd.write(f, part) end
        parts[i] = part
    end
    events[env.QUERY_INFO](f)
    local wanted, found = table.concat(parts), content(name)
    say(found:sub(1, #wanted) == wanted, #found - #wanted)
    if io.type(f) == 'file' then f:close() end
end)
httpd.register_handler('/full', function(env)
    local function open() return assert(io.open('/dev/full', 'w')) end
    local f = open()
    say(f:write('x') == f, f:flush())
    say(f:close())
    f = open()
    f:write('x')
    say(f:close())
    f = open()
    httpd.write(f, ('x'):rep(300000))
    os.execute('sleep 0.2')
    say(httpd.write(f, 'y'))
    say(f:close())
    f = open()
    httpd.write(f, 'x')
    os.execute('sleep 0.2')
    say(httpd.close(f))
end)
httpd.register_handler('/hog', function()
    local from <close> = assert(io.open('$FOLDER/big'))
    local sum = 0
    for _ = 1, 4 do
        from:seek('set')
        for block in function() return httpd.read(from, 65536) end do sum = sum + #block end
    end
    say(sum)
end)
httpd.register_handler('/small', function()
    say(#content('$FOLDER/small'))
end)
httpd.register_handler('/pids', function(env)
    local pipe = assert(io.popen('echo $$; exec sleep 60'))
    httpd.write(nil, httpd.read(pipe, 'l'))
    if env.QUERY_INFO == 'wait' then httpd.read(pipe, 'a') end
end)
httpd.register_handler('/many', function()
    local pipes, message, code = {}
    for i = 1, 500 do
        local pipe, why, number = io.popen('exec sleep 60')
        if pipe == nil then
            say(i, why, number)
            break
        end
        pipes[i] = pipe
    end
end)
httpd.register_handler('/spent', function(env)
    local kept = {}
    while true do
        kept[#kept + 1] = env.QUERY_INFO == 'file' and io.open('small') or io.popen('exec sleep 60')
        -- some milliseconds of processor time each, so that the limit comes with one of the next files
        for _ = 1, 1000000 do end
    end
end, {cpu = 0.02})`;

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start(
    { '/': SCRIPT },
    {
      keeps: true,
      prepare: (folder) => {
        writeFileSync(folder.file('big'), Buffer.alloc(BIG_BYTES));
        writeFileSync(folder.file('small'), 'small');
      },
    },
  );
});
after(() => gateway.stop());

for (const event of ['flush', 'seek', 'close', 'read', 'time', 'full']) {
  test(`Small writes stand in the file, in order, after: ${event}`, async () => {
    const { text } = await gateway.ask('h2', `/visible?${event}`);
    assert.match(text, event === 'full' ? /^true \d+\n$/ : /^true 0\n$/);
  });
}

test('A failed write is told by the next call, or by close', async () => {
  const { text } = await gateway.ask('h2', '/full');
  const [flush, closed, close, next, , stream] = text.split('\n');
  const full = 'No space left on device';
  assert.equal(flush, `true nil ${full} 28`);
  assert.equal(closed, `nil ${full} 28`);
  assert.equal(close, `nil ${full} 28`);
  assert.equal(next, `nil Cannot use "/dev/full": ${full} io`);
  assert.equal(stream, `nil Cannot use "/dev/full": ${full} io`);
});

test('A small read gets its turn among exchanges that read much', async () => {
  const hogs = Array.from({ length: HOGS }, () => gateway.ask('h2', '/hog'));
  const before = performance.now();
  assert.equal((await gateway.ask('h2', '/small')).text, '5\n');
  assert.ok(performance.now() - before < SMALL_MAX_MS);
  for (const hog of hogs) assert.equal((await hog).text, `${4 * BIG_BYTES}\n`);
});

test('A process ends with its exchange, whether that returns or its client goes', async () => {
  const { text } = await gateway.ask('h2', '/pids');
  await untilGone(Number(text));
  const session = await gateway.session();
  const stream = session.request({ ':path': '/pids?wait' });
  stream.on('error', () => undefined);
  const chunk = await new Promise<Buffer>((resolve) => stream.once('data', resolve));
  assert.ok(isRunning(Number(chunk)));
  session.destroy();
  await untilGone(Number(chunk));
  await gateway.untilIdle();
});

test('Processes at once are bounded, with a message that says so, and come back', async () => {
  const { text } = await gateway.ask('h2', '/many');
  const [, started, running, limit] =
    /^(\d+) .*: (\d+) processes are running and the limit is (\d+) 11\n$/.exec(text) ?? [];
  assert.equal(running, limit, text);
  assert.equal(Number(started), Number(limit) + 1);
  await gateway.untilIdle();
  assert.match((await gateway.ask('h2', '/pids')).text, /^\d+/);
  await gateway.untilIdle();
});

test('A limit that is reached while a file or a process is being opened leaves neither behind', async () => {
  for (const what of ['file', 'process'])
    for (let i = 0; i < SPENT_REQUESTS; i++)
      assert.equal((await gateway.ask('h1', `/spent?${what}`)).status, 500);
  await gateway.untilIdle();
});

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

async function untilGone(pid: number): Promise<void> {
  assert.ok(pid > 1);
  const limit = performance.now() + 60_000;
  while (isRunning(pid)) {
    assert.ok(performance.now() < limit, `${pid} still runs`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
