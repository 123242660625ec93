import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, outputOf, ScriptHarness } from '../support/script-harness.ts';

const output = (body: string, files: Readonly<Record<string, string>> = {}): Promise<string> =>
  outputOf(body, { files }, (harness) => harness.expectNothingOpen());

test('httpd.read() and httpd.write() on files return bytes, nil at the end, and counts', async () => {
  assert.equal(
    await output(`
      local f <close> = io.open('x.bin', 'w') say(httpd.write(f, 'hello '), httpd.write(f, 42), httpd.write(f, ''), select('#', httpd.write(f, nil))) f:close()
      local r <close> = io.open('x.bin') say(httpd.read(r, 3), httpd.read(r, 100), httpd.read(r, 1), httpd.read(r, 1))
      r:seek('set') say(httpd.read(r, 'a')) say('[' .. httpd.read(r, 'a') .. ']') say(httpd.read(r, 0))`),
    '6 2 0 0\nhel lo 42 nil nil\nhello 42\n[]\nnil\n',
  );
});

test('httpd.read() and the methods of a file share one position', async () => {
  assert.equal(
    await output(
      `local f <close> = io.open('t.txt') say(f:read(2), httpd.read(f, 2), f:read('l'), httpd.read(f, 'l'), f:seek(), httpd.read(f)) f:seek('set', 1) say(httpd.read(f, 1), f:read(1))`,
      { 't.txt': 'abcdef\nsecond\nthird' },
    ),
    'ab cd ef second 14 third\nb c\n',
  );
});

test('httpd.read() on a pipe waits for all it was asked for, httpd.write() feeds one', async () => {
  assert.equal(
    await output(`
      local p = io.popen('printf abc; sleep 0.05; printf defg') say(httpd.read(p, 5), httpd.read(p, 5), httpd.read(p, 5)) say(p:close())
      local w = io.popen('cat > piped.txt', 'w') say(httpd.write(w, ('x'):rep(200000))) w:close() say(#io.open('piped.txt'):read('a'))`),
    'abcde fg nil\ntrue exit 0\n200000\n200000\n',
  );
});

test('A closed file is misuse, a failed operation nil, message and code', async () => {
  assert.equal(
    await output(`
      local f = io.open('x', 'w') f:close()
      say(pcall(function() httpd.read(f, 1) end)) say(pcall(function() httpd.write(f, 'x') end)) say(pcall(function() httpd.write(f, nil) end))
      local w <close> = io.open('x', 'w') say(select('#', httpd.read(w, 1)), select(3, httpd.read(w, 1)))`),
    'false script.lua:8: attempt to use a closed file\nfalse script.lua:8: attempt to use a closed file\nfalse script.lua:8: attempt to use a closed file\n3 closed\n'.replaceAll(
      'script.lua:8',
      'script.lua:9',
    ),
  );
});

test('A file that could not be opened reads as the body, which a GET has not', async () => {
  assert.equal(
    await output(
      `local f = io.open('missing.png') while true do local d = httpd.read(f, 100) if not d then break end end say('empty')`,
    ),
    'empty\n',
  );
});

test('At load everything about files and programs works, and waits', async () => {
  const loaded = await ScriptHarness.load(
    `local httpd = require 'httpd'
    local out = {}
    for l in io.lines('conf.txt') do out[#out + 1] = l end
    local f = io.open('made.txt', 'w') f:write('a', 1) httpd.write(f, 'b') f:seek('set', 0) f:write('A') f:close()
    local g = io.open('made.txt') out[#out + 1] = httpd.read(g, 2) .. httpd.read(g, 'a') g:close()
    local p <close> = io.popen('cat conf.txt; exit 4') out[#out + 1] = p:read('a'):gsub('\\n', '+') .. select(3, p:close())
    out[#out + 1] = select(3, os.execute('kill -9 $$'))
    out[#out + 1] = dofile('part.lua')
    out[#out + 1] = tostring(os.remove('made.txt')) out[#out + 1] = tostring(os.rename('conf.txt', 'moved.txt'))
    local t = io.tmpfile() t:write('tmp') t:seek('set') out[#out + 1] = t:read('a') t:close()
    local big = io.open('big.txt') out[#out + 1] = #httpd.read(big, 'l') big:close()
    httpd.register_handler('/run', function() httpd.write(nil, table.concat(out, ',')) end)`,
    {
      files: {
        'conf.txt': 'one\ntwo',
        'part.lua': "return 'part'",
        'big.txt': `${'x'.repeat(200_000)}\n${'y'.repeat(200_000)}`,
      },
    },
  );
  assert.equal(await loaded.output(), 'one,two,A1b,one+two4,9,part,true,true,tmp,200000');
  await loaded.expectNothingOpen();
  await loaded.close();
});

test('A file in a global serves two requests at once, and outlives them', async () => {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    shared = io.open('t.txt')
    log = io.open('log.txt', 'a')
    httpd.register_handler('/run', function()
      while true do local d = httpd.read(shared, 7) if not d then break end httpd.write(nil, d) httpd.read(nil, 1) end
      log:write('done\\n') log:flush()
    end)`,
    { files: { 't.txt': '0123456'.repeat(500) } },
  );
  const exchanges = Array.from({ length: 4 }, () => harness.begin('/run', { body: 'open' }));
  for (const exchange of exchanges) exchange.body.supply('x'.repeat(600));
  await Promise.all(exchanges.map((exchange) => exchange.closed));
  const all = exchanges.map((exchange) => exchange.text).join('');
  assert.equal(all, '0123456'.repeat(500));
  assert.equal(harness.readFile('log.txt'), 'done\n'.repeat(4));
  assert.equal(harness.counters.get('files'), 2);
  await harness.close();
});

test('Closing a file another request waits for ends that wait', async () => {
  const harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    httpd.register_handler('/wait', function() pipe = io.popen('sleep 30') httpd.write(nil, tostring(pipe:read(1))) end)
    httpd.register_handler('/close', function() httpd.write(nil, tostring(io.type(pipe))) pipe:close() httpd.write(nil, io.type(pipe)) end)`);
  const waiting = harness.begin('/wait');
  await eventually(() => assert.equal(harness.counters.get('pipes'), 1));
  const closing = await harness.request('/close');
  assert.equal(closing.text, 'fileclosed file');
  await waiting.closed;
  assert.equal(waiting.status, 200);
  await harness.expectNothingOpen();
  await harness.close();
});

test('Files nobody closes are closed soon after their request', async () => {
  const harness = await ScriptHarness.run(
    `for i = 1, 20 do io.open('f' .. i, 'w'):write('content') end say('left open')`,
  );
  await harness.output();
  await harness.expectNothingOpen();
  await eventually(() => assert.equal(harness.readFile('f20'), 'content'));
  await harness.close();
});

test('Files and programs that lost their metatable are closed when they are forgotten', async () => {
  const harness = await ScriptHarness.run(
    `for i = 1, 20 do debug.setmetatable(assert(io.open('f' .. i, 'w')), i % 2 == 0 and { __gc = false } or nil) end
    debug.setmetatable(assert(io.popen('cat', 'w')), {})
    for i = 1, 3 do collectgarbage() end
    say('forgotten')`,
  );
  assert.equal(await harness.output(), 'forgotten\n');
  await harness.expectNothingOpen();
  await harness.close();
});

test('A file that is kept in disguise counts in the share, whose error names the limit, until the state ends', async () => {
  const harness = await ScriptHarness.run(
    `kept = kept or {}
    for i = 1, 3 do
      local f, message = io.open('f' .. i, 'w')
      if not f then return say(message) end
      kept[#kept + 1] = debug.setmetatable(f, {})
    end
    collectgarbage() collectgarbage() say(#kept)`,
    { filesMax: 4 },
  );
  assert.equal(await harness.output(), '3\n');
  assert.match(await harness.output(), /: 4 files are open and the limit is 4\n/);
  assert.equal(harness.counters.get('files'), 4);
  const { counters } = harness;
  await harness.close();
  await eventually(() => assert.equal(counters.get('files'), 0));
});

test('A file held on purpose does not make every request collect garbage', async () => {
  const harness = await ScriptHarness.run(`log = log or io.open('log.txt', 'w') say('x')`);
  await harness.output();
  await eventually(() => assert.equal(harness.script.files.mayBeForgotten(new Set()), false));
  await harness.output();
  assert.equal(harness.script.files.mayBeForgotten(new Set()), false);
  assert.equal(harness.counters.get('files'), 1);
  await harness.close();
});

test('More files than the limit are refused with a message, and the worker lives on', async () => {
  const harness = await ScriptHarness.run(
    `local open, message = {}, nil for i = 1, 20 do local f, m = io.open('f' .. i, 'w') if f then open[#open + 1] = f else message = m break end end
    for _, f in ipairs(open) do f:close() end say(#open, message)`,
    { filesMax: 10 },
  );
  assert.match(await harness.output(), /^10 f11: .*\n$/);
  await harness.expectNothingOpen();
  await harness.close();
});

test('print and io.write go to the log, line by line', async () => {
  const harness = await ScriptHarness.run(
    Buffer.from(
      `print('a', 1, nil, 'ü') io.write('part ') io.write('of a line\\nand another\\n') io.stderr:write('to stderr\\n') say(pcall(io.close)) say(io.read(), io.stdin:read('a'))`,
    ).toString('latin1'),
  );
  assert.equal(await harness.output(), 'true nil cannot close standard file\nnil \n');
  const lines = harness.log
    .filter((line) => line.startsWith('info '))
    .map((line) => line.replace(/ mapping=.*/, ''));
  assert.deepEqual(lines, ['info a\t1\tnil\tü', 'info part of a line', 'info and another', 'info to stderr']);
  await harness.close();
});

test('What would end, block or leave the gateway is not there', async () => {
  const text = await output(`
    say(select(2, pcall(os.exit, 1))) say(os.getenv('PATH'), os.getenv('HOME')) say(debug.debug, package.cpath == '')
    say(load('\\27Lua'))`);
  assert.equal(
    text,
    'os.exit is not available: a script cannot end the gateway\nnil nil\nnil true\nnil attempt to load a binary chunk: without --allow-bytecode only a string that string.dump has returned in this state can be loaded\n',
  );
});

test("setvbuf('no') and ('line') have written when the write returns, whoever reads and however", async () => {
  assert.equal(
    await output(`
      local missed = {}
      for _, buffering in ipairs {'no', 'line'} do
        local w <close> = io.open('shared.txt', 'w') w:setvbuf(buffering)
        local r <close> = io.open('shared.txt')
        for i = 1, 300 do
          local line = ('line %d of %s\\n'):format(i, buffering)
          if i % 2 == 0 then w:write(line) else httpd.write(w, line) end
          local seen = r:read('a')
          if seen ~= line then missed[#missed + 1] = ('%s %d: %s'):format(buffering, i, seen) end
        end
      end
      local p = assert(io.popen('cat > piped.txt', 'w')) p:setvbuf('no') p:write(('y'):rep(300000)) p:close()
      local a <close> = io.open('shared.txt', 'a') a:setvbuf('no')
      local long = ('x'):rep(200000) a:write(long, 'end')
      local r = io.open('shared.txt') r:seek('end', -3) say(r:read('a'), #missed, missed[1], #io.open('piped.txt'):read('a'))`),
    'end 0 nil 300000\n',
  );
});
