/** A hostile script can harm only itself with the functions of `debug` that it has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';

/** Runs the body of a handler, then checks that the same state still serves. */
async function runHostile(body: string): Promise<string> {
  const harness = await ScriptHarness.load(`local httpd = require 'httpd'
    local function say(...)
      local t = table.pack(...)
      for i = 1, t.n do t[i] = tostring(t[i]) end
      httpd.write(nil, table.concat(t, ' ') .. '\\n')
    end
    local main = coroutine.running()
    httpd.register_handler('/run', function(env, header) ${body}\nend)
    httpd.register_handler('/alive', function(env)
      collectgarbage() local t = {} for i = 1, 1000 do t[i] = ('x'):rep(i) end
      local f <close> = assert(io.open('script.lua'))
      say(env.REQUEST_METHOD, #t, #(f:read('a')) > 0, ('abc'):gsub('%w', '%0%0'))
    end)`);
  try {
    const { text } = await harness.request('/run');
    assert.equal((await harness.request('/alive')).text, 'GET 1000 true aabbcc 3\n', harness.log.join('\n'));
    assert.ok(!harness.log.includes('error abandoned'));
    return text;
  } finally {
    await harness.close();
  }
}

test('debug.setlocal() changes named variables and arguments, as in lua5.4', async () => {
  const text = await runHostile(`local a, b = 1, 2
    say(debug.setlocal(1, 3, 'new'), a, debug.getlocal(1, 3))
    local function f(...) say(debug.setlocal(1, -1, 'v'), ...) end f(1, 2)
    local co = coroutine.create(function(x) local y = x coroutine.yield() say(y) end)
    coroutine.resume(co, 5) say(debug.getlocal(co, 1, 2)) say(debug.setlocal(co, 1, 2, 6)) coroutine.resume(co)
    say(pcall(debug.setlocal, 100, 1, 1)) say(pcall(debug.setlocal, 1, 1)) say(pcall(debug.setlocal, print, 1, 1))`);
  assert.equal(
    text,
    "a new a new\n(vararg) v 2\ny 5\ny\n6\nfalse bad argument #1 to 'debug.setlocal' (level out of range)\n" +
      "false bad argument #3 to 'debug.setlocal' (value expected)\n" +
      "false bad argument #1 to 'debug.setlocal' (number expected, got function)\n",
  );
});

test('debug.setlocal() leaves the counters of loops and the temporaries of functions alone', async () => {
  const text = await runHostile(`local changed = {}
    for i = 1, 3 do for n = 1, 60 do
      local name = debug.getlocal(1, n) if not name then break end
      if name:sub(1, 1) == '(' then changed[#changed + 1] = debug.setlocal(1, n, {}) end
    end end
    for _ in pairs({1, 2, 3}) do for n = 1, 60 do
      local name = debug.getlocal(1, n) if not name then break end
      if name:sub(1, 1) == '(' then changed[#changed + 1] = debug.setlocal(1, n, 'x') end
    end end
    say(#changed)`);
  assert.equal(text, '0\n');
});

test('debug.getlocal() and setlocal() do not reach the stack of C functions', async () => {
  const text = await runHostile(`local seen, set = 0, 0
    local calls = 0
    local function look()
      calls = calls + 1 if calls % 97 > 3 then return 'r' end
      for level = 0, 20 do
        local info = debug.getinfo(level, 'S') if not info then break end
        if info.what == 'C' then for n = -5, 20 do
          if n ~= 0 and debug.getlocal(level, n) then seen = seen + 1 end
          if n ~= 0 and debug.setlocal(level, n, {}) then set = set + 1 end
        end end
      end
      return 'r'
    end
    for _ = 1, 20 do
      local s = ('x'):rep(2000):gsub('x', look)
      assert(s == ('r'):rep(2000))
      table.sort({3, 1, 2}, function(a, b) look() return a < b end)
      load(function() look() end) pcall(look) tostring(setmetatable({}, {__tostring = look}))
      if seen == 0 and set == 0 then break end
    end
    say(seen, set)`);
  assert.equal(text, '0 0\n');
});

test('A coroutine that waits for the host shows nothing of how it waits', async () => {
  const text = await runHostile(`local me = coroutine.running()
    local co = coroutine.create(function() local f = io.open('script.lua') for i = 1, 50 do f:seek('set') f:read('a') end f:close() end)
    coroutine.resume(co)
    local found = 0
    for _, thread in ipairs{me, co, main} do for level = 0, 10 do for n = 1, 30 do
      local ok, name, value = pcall(debug.getlocal, thread, level, n)
      if ok and type(value) == 'userdata' and not io.type(value) then found = found + 1 end
    end end end
    say(found)`);
  assert.equal(text, '0\n');
});

test('Upvalues of C functions can neither be seen nor set', async () => {
  const text = await runHostile(`
    local wrapped = coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end)
    local words = ('a b'):gmatch('%w')
    local lines = io.lines('script.lua')
    for _, f in ipairs{wrapped, words, lines} do
      for n = 1, 5 do
        say(select('#', debug.getupvalue(f, n)), select('#', debug.setupvalue(f, n, nil)), debug.upvalueid(f, n))
      end
      say(pcall(debug.upvaluejoin, f, 1, function() return f end, 1))
    end
    say(wrapped(), wrapped(), words(), words(), #lines() > 0)`);
  const lines = text.trimEnd().split('\n');
  assert.equal(lines.length, 19, text);
  assert.equal(lines.filter((line) => line === '0 0 nil').length, 15, text);
  assert.equal(lines.at(-1), '1 2 a b true');
});

test('No level of the stack, no upvalue and no metatable leads to code of the gateway', async () => {
  // what scripts call may be code of ours, whose upvalues nobody sees: httpd.cache
  const text = await runHostile(`local seen, found, own = {}, {}, 0
    local function visit(value)
      if seen[value] or value == nil then return end
      local kind = type(value)
      if kind ~= 'table' and kind ~= 'function' and kind ~= 'userdata' and kind ~= 'thread' then return end
      seen[value] = true
      visit(debug.getmetatable(value))
      if kind == 'table' then
        for k, v in next, value do visit(k) visit(v) end
      elseif kind == 'function' then
        local info = debug.getinfo(value, 'S')
        if info.source == '=lgateway' then found[#found + 1] = 'prelude' end
        if info.source == '=gateway' then
          own = own + 1
          if debug.getupvalue(value, 1) ~= nil then found[#found + 1] = 'upvalue' end
        end
        for n = 1, 100 do local name, v = debug.getupvalue(value, n) if not name then break end visit(v) end
      elseif kind == 'thread' then
        for level = 0, 20 do
          local info = debug.getinfo(value, level, 'f') if not info then break end
          visit(info.func)
          for n = 1, 100 do local name, v = debug.getlocal(value, level, n) if not name then break end visit(v) end
        end
      end
    end
    for level = 0, 20 do local info = debug.getinfo(level, 'f') if info then visit(info.func) end end
    visit(_G) visit(env) visit(header) visit(coroutine.running()) visit(main)
    say(#found, own > 0)`);
  assert.equal(text, '0 true\n');
});

test('Metatables of basic types and files that a script replaces harm nobody but itself', async () => {
  const text = await runHostile(`
    local f = io.open('script.lua')
    local meta = debug.getmetatable(f)
    debug.setmetatable(f, nil) say(io.type(f), pcall(meta.__index.read, f, 1) == false)
    debug.setmetatable(f, {}) say(io.type(f)) debug.setmetatable(f, meta) say(io.type(f))
    say(pcall(meta.__gc, {})) say(pcall(meta.__gc, 5)) say(pcall(meta.__close, coroutine.running()))
    say(pcall(meta.__index.read, debug.upvalueid(function() return f end, 1)))
    say(debug.setuservalue(f, 1, 1), debug.getuservalue(f, 1)) f:close()
    local old = debug.getmetatable('')
    debug.setmetatable('', nil) say(pcall(function() return ('x'):rep(2) end)) debug.setmetatable('', old)
    debug.setmetatable(nil, {__index = function() return 'nothing' end, __call = function() return 'called' end})
    local t = nil say(t.x, t()) debug.setmetatable(nil, nil)
    debug.setmetatable(print, {__index = function(_, k) return k end}) say(print.name) debug.setmetatable(print, nil)
    debug.setmetatable(main, {__name = 'T'}) debug.setmetatable(main, nil)
    debug.setmetatable(env, {__index = function() return 'mine' end}) say(env.NOTHING, rawget(env, 'REQUEST_METHOD'))`);
  assert.match(text, /^nil true\nnil\nfile\n/);
  assert.match(text, /\nnothing called\nname\nmine GET\n$/);
});

test('The main thread can be looked at, resumed and closed by a handler without harm', async () => {
  const text =
    await runHostile(`say(coroutine.status(main)) say(coroutine.resume(main, 1, 2)) say(pcall(coroutine.close, main))
    say(pcall(debug.setlocal, main, 0, 1, 1)) say(debug.traceback(main, 'here', 0)) say(debug.getinfo(main, 0))
    say(pcall(debug.upvaluejoin, function() return env end, 1, function() return main end, 1))`);
  assert.match(text, /^dead\nfalse cannot resume dead coroutine\n/);
});
