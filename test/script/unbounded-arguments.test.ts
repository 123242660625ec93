/** Arguments as large as a state allows, for functions that read them outside the VM, and waits where Lua cannot yield. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';
import { StretchMeter, slowness, threadCpuMs } from '../support/stretch-meter.ts';

/** Most processor time of one call: the best of several tries counts, as V8 compiles and collects garbage at any time. */
const CALL_MS_MAX = 250;

/** `longText` has 32 MiB and `many` a million members. */
const PREPARE = `httpd = require 'httpd'
  longText = ('x'):rep(65536):rep(512)
  lineFeeds = ('\\n'):rep(65536):rep(16)
  function say(...)
    local t = table.pack(...)
    for i = 1, t.n do t[i] = tostring(t[i]):sub(1, 300) end
    httpd.write(nil, table.concat(t, ' '))
  end`;

/** One state for all tests, because its preparation takes longer than most calls. */
let shared: Promise<ScriptHarness> | undefined;
after(async () => (await shared)?.close());

const SCRIPT = `${PREPARE}
  local body
  httpd.register_handler('/set', function()
    collectgarbage()
    body = assert(load('local env, header = ... ' .. httpd.read(nil, 'a'), '@script.lua'))
    httpd.write(nil, 'set')
  end)
  httpd.register_handler('/run', function(env, header) return body(env, header) end)`;

async function call(
  body: string,
  files: Readonly<Record<string, string>> = {},
): Promise<{ text: string; cpuMs: number; stretchMs: number; log: readonly string[] }> {
  shared ??= ScriptHarness.load(SCRIPT);
  const harness = await shared;
  for (const [name, text] of Object.entries(files)) harness.writeFile(name, text);
  const set = await harness.request('/set', { body: Buffer.from(body) });
  assert.equal(set.status, 200, harness.log.join('\n').slice(0, 1000));
  harness.log.length = 0;
  const before = threadCpuMs();
  const meter = new StretchMeter();
  const { text, status } = await harness.request('/run');
  const [stretchMs, cpuMs] = [meter.stop(), threadCpuMs() - before];
  assert.equal(status, 200, harness.log.join('\n').slice(0, 1000));
  return { text, stretchMs, cpuMs, log: [...harness.log] };
}

/** Calls again while `ms` of what it finds is `max` and more, a few times at most. */
async function calmCall(
  body: string,
  ms: (found: Awaited<ReturnType<typeof call>>) => number,
  max = CALL_MS_MAX,
): ReturnType<typeof call> {
  let best = await call(body);
  for (let tries = 1; tries < 6 && ms(best) >= max; tries++) {
    const slow = slowness();
    const found = await call(body);
    const again = { ...found, cpuMs: found.cpuMs / slow, stretchMs: found.stretchMs / slow };
    if (ms(again) < ms(best)) best = again;
  }
  return best;
}

const REFUSED: Readonly<Record<string, readonly [body: string, expected: RegExp]>> = {
  'a path of 100,000 templates': [
    `say(pcall(package.searchpath, 'x', ('?;'):rep(100000)))`,
    /false bad argument #2 to '.*' \(string of 200000 bytes is longer than the limit of 32768\)/,
  ],
  'a path of one template more than the limit': [
    `say(pcall(package.searchpath, 'x', ('?;'):rep(99) .. '?') ) say(pcall(package.searchpath, 'x', ('?;'):rep(100)))`,
    /^true nil no file 'x'.*false the path has 101 templates and the limit is 100$/s,
  ],
  'templates that become longer than a name can be': [
    `say(package.searchpath(('y'):rep(1000), ('?'):rep(30)))`,
    /^nil no file '\?+'$/,
  ],
  'a format of os.date beyond its limit': [
    `say(pcall(os.date, ('x'):rep(32769)))`,
    /false bad argument #1 to '.*' \(string of 32769 bytes is longer than the limit of 32768\)/,
  ],
  'the name of a zone ten thousand times': [`say(#os.date(('%Z'):rep(10000)) >= 20000)`, /^true$/],
  'a head with a value of 32 MiB': [
    `say(pcall(httpd.header, {[':status'] = 200, a = longText}))`,
    /have more bytes than the limit of 262144/,
  ],
  'a head with a list of 100,000 values': [
    `local list = {} for i = 1, 100000 do list[i] = 'v' end say(pcall(httpd.header, {[':status'] = 200, a = list}))`,
    /more fields than the limit of 2000/,
  ],
  'trailers of 32 MiB': [
    `say(pcall(httpd.trailer, {a = longText}))`,
    /have more bytes than the limit of 262144/,
  ],
  'a header of fetch with 32 MiB': [
    `say(pcall(httpd.fetch, 'http://127.0.0.1:1/', {headers = {a = longText}}))`,
    /have more bytes than the limit of 262144/,
  ],
  'a body of fetch with 32 MiB': [
    `say(httpd.fetch('http://127.0.0.1:1/', {body = longText}))`,
    /^nil Cannot fetch: the body has 33554432 bytes and the limit of a string is 16777216.* limit$/,
  ],
  'an option with a name of 32 MiB': [
    `say(pcall(httpd.timer, 1, print, {[longText] = 1}))`,
    /timer has no option "x{100}"/,
  ],
  'a name of 32 MiB for a handler': [
    `say(pcall(httpd.register_handler, longText, print))`,
    /string of 33554432 bytes is longer than the limit of 131072/,
  ],
  'a name of 32 MiB for a file': [
    `say(pcall(io.open, longText))`,
    /string of 33554432 bytes is longer than the limit of 131072/,
  ],
  'a name of 100,000 folders for a file': [
    `local f, message, number = io.open(('a/'):rep(60000)) say(f, number)`,
    /^nil 36$/,
  ],
  'a date of 32 MiB': [`say(pcall(httpd.parsedate, longText))`, /longer than the limit/],
  'a million formats for a read': [
    `local f = io.open('script.lua') say(pcall(f.read, f, table.unpack(setmetatable({}, {__index = function() return 1 end}), 1, 100000)))`,
    /too many arguments/,
  ],
  'a look-up in a header table with a name of 32 MiB': [`say(header[longText])`, /^nil$/],
};

for (const [what, [body, expected]] of Object.entries(REFUSED)) {
  test(`${what} costs no more than a moment`, async () => {
    const { text, cpuMs } = await calmCall(body, (found) => found.cpuMs);
    assert.match(text, expected);
    assert(cpuMs < CALL_MS_MAX, `it took ${cpuMs} ms of processor time`);
  });
}

const LOGGED: Readonly<Record<string, string>> = {
  'print of 32 MiB': `print(longText) say('done')`,
  'print of 200,000 values': `print(table.unpack(setmetatable({}, {__index = function() return 'v' end}), 1, 200000)) say('done')`,
  'httpd.log of 32 MiB': `httpd.log('info', longText, longText) say('done')`,
  'a warning of 32 MiB': `warn('@on') warn(longText) say('done')`,
};

for (const [what, body] of Object.entries(LOGGED)) {
  test(`${what} is one line that is cut`, async () => {
    const { text, log, cpuMs } = await calmCall(body, (found) => found.cpuMs);
    assert.equal(text, 'done');
    assert.equal(log.length, 1);
    assert((log[0] as string).length <= 65 * 1024);
    assert(cpuMs < CALL_MS_MAX, `it took ${cpuMs} ms of processor time`);
  });
}

test('A million lines written to standard output are given to the log in turns with others', async () => {
  const { stretchMs, log } = await calmCall(
    `io.write(lineFeeds:sub(1, 100000)) say('done')`,
    (found) => found.stretchMs,
  );
  assert(log.length >= 100_000 || log.some((line) => /dropped|suppressed/.test(line)), `${log.length} lines`);
  assert(stretchMs < CALL_MS_MAX, `nobody else had a turn for ${stretchMs} ms`);
});

test('A file is written with 100,000 arguments in one call', async () => {
  const { text } = await call(
    `local f <close> = io.open('out', 'w')
    f:write(table.unpack(setmetatable({}, {__index = function() return 'ab' end}), 1, 100000))
    say(f:seek('end'))`,
  );
  assert.equal(text, '200000');
});

test('A numeral behind any number of blanks is read, and they are not looked at again and again', async () => {
  const { text, cpuMs } = await call(`local f <close> = io.open('blanks') say(f:read('n', 'n', 1))`, {
    blanks: `${' '.repeat(2_000_000)}12${'\n'.repeat(1000)}0x1Fz`,
  });
  assert.equal(text, '12 31 z');
  assert(cpuMs < 2000 * slowness(), `it took ${cpuMs} ms of processor time`);
});

test('A name in another case is not looked for in a table of a million entries', async () => {
  const { text, cpuMs } = await call(
    `local _ = #header for i = 1, 200000 do rawset(header, 'k' .. i, 'v') end
    httpd.now() local before = os.clock() for i = 1, 3 do local _ = header.nothing end say(header.K1 == 'v', header.nothing)`,
  );
  assert.match(text, /nil$/);
  assert(cpuMs < 10 * CALL_MS_MAX * slowness(), `it took ${cpuMs} ms of processor time`);
});

const BELOW_SORT: Readonly<Record<string, readonly [lua: string, expected: RegExp]>> = {
  'os.execute': [`os.execute('sleep 6')`, /cannot run a program here: a yield cannot cross this call/],
  'io.popen': [`io.popen('sleep 6')`, /cannot run a program here: a yield cannot cross this call/],
  'a FIFO that nobody reads': [
    `io.open('lonely', 'w')`,
    /cannot wait for the other side of a FIFO here: a yield cannot cross this call/,
  ],
  'a read from a FIFO': [`fifo:read(1)`, /cannot wait for a file here: a yield cannot cross this call/],
  'httpd.read from a program': [
    `httpd.read(pipe, 10)`,
    /cannot wait for a file here: a yield cannot cross this call/,
  ],
  'the end of a program': [`pipe:close()`, /cannot wait for a program here: a yield cannot cross this call/],
  'a program that does not read': [
    `for i = 1, 100 do assert(writer:write(('x'):rep(65536))) end`,
    /cannot wait for a file here: a yield cannot cross this call/,
  ],
  'a file that is not open for reading': [`assert(out:read(1))`, /Bad file descriptor/],
};

for (const [what, [lua, expected]] of Object.entries(BELOW_SORT)) {
  test(`Below table.sort ${what} is an error at once`, async () => {
    const harness = await ScriptHarness.run(
      `local fifo <close> = io.open('fifo', 'r+')
      local pipe = io.popen('exec sleep 60')
      local writer = io.popen('exec sleep 60', 'w')
      local out <close> = io.open('out', 'w')
      local message
      table.sort({2, 1}, function(a, b) local _, m = pcall(function() ${lua} end) message = m return a < b end)
      say(message)`,
    );
    try {
      execFileSync('mkfifo', [join(harness.folder, 'fifo'), join(harness.folder, 'lonely')]);
      const before = performance.now();
      assert.match(await harness.output(), expected);
      assert(performance.now() - before < 30_000);
    } finally {
      await harness.close();
    }
  });
}
