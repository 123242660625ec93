/** The light userdata of the gateway: one list, all different, and those that are marks stay with the gateway. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { LIGHT_USERDATA } from '../../src/lua/light-userdata.ts';
import { keepsItsState, outputOf, ScriptHarness } from '../support/script-harness.ts';

const output = (body: string): Promise<string> => outputOf(body, {}, keepsItsState);

test('No two light userdata are equal, and none can be an address', () => {
  const values = Object.values(LIGHT_USERDATA);
  assert.equal(new Set(values).size, values.length);
  for (const value of values) assert.equal(value % 2, 1);
});

test('Light userdata and keys that are some are written with names of the list, or are references and threads', () => {
  const uses = readdirSync(join(PACKAGE_ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && name !== 'lua/lua-exports.ts')
    .flatMap((name) =>
      [
        ...readFileSync(join(PACKAGE_ROOT, 'src', name), 'utf8').matchAll(
          /lua_(?:pushlightuserdata|rawgetp|rawsetp)\((?:[^(),]|\([^()]*\))*?(?:,[^(),]*?)?, ?([^,()]+)\)/g,
        ),
      ].map(([, key = '']) => key.trim()),
    );
  assert.ok(uses.length > 15, String(uses.length));
  const known =
    /^(?:LIGHT_USERDATA\.\w+|FACTS_KEY|NUMBER_KEY|FILLER_KEY|key|TEMPLATE_KEYS\[\w+\]|FOUND_KEYS\[\w+\]|FOUND_COUNT_KEY|reference|created|coroutine\.thread|number)$/;
  assert.deepEqual(
    uses.filter((key) => !known.test(key)),
    [],
  );
});

test('env and header do not change when a script writes under the light userdata that it has', async () => {
  const text = await output(`local null, body = httpd.json.null, httpd.body
    local id = env.REQUEST_ID
    env[null] = nil env[null] = 5 header[null] = 6 rawset(env, body, 7) header[body] = 8
    say(env.REQUEST_ID == id, env.REQUEST_METHOD, env[null], header[null], env[body], header[body], null == body)
    local n = 0 for _ in pairs(env) do n = n + 1 end say(n > 10)`);
  assert.equal(text, 'true GET 5 6 7 8 false\ntrue\n');
});

test('A fresh env does not take what a script writes under httpd.json.null for its number', async () => {
  const text = await output(`env[httpd.json.null] = httpd.body
    say(env.REQUEST_ID:match('^%w+%-?%w*') ~= nil, env[httpd.json.null] == httpd.body)`);
  assert.equal(text, 'true true\n');
});

test('A function in a metatable under httpd.body or httpd.json.null is never called', async () => {
  const text = await output(`local called = 0
    local function f() called = called + 1 end
    local meta = { [httpd.body] = f, [httpd.json.null] = f }
    local t = setmetatable({ a = 1 }, meta)
    say(next(t), rawget(t, 'a'), rawlen(t), #t, getmetatable(t) == meta) for _ in pairs(t) do end rawset(t, 'b', 2)
    setmetatable(t, meta) debug.getmetatable(t) pcall(httpd.header, t) pcall(httpd.trailer, t)
    say(called)`);
  assert.equal(text, 'a 1 0 0 true\n0\n');
});

test('A finaliser that runs inside the code of the gateway sees nothing of it', async () => {
  const harness = await ScriptHarness.load(`local httpd = require 'httpd'
    local own, found = 0, 0
    local function look()
      for level = 1, 12 do
        local info = debug.getinfo(level, 'Sf') if not info then break end
        if info.source == '=lgateway' then
          own = own + 1
          for n = 1, 20 do
            if debug.getlocal(level, n) or debug.getupvalue(info.func, n) or debug.upvalueid(info.func, n) then found = found + 1 end
            if debug.setlocal(level, n, 1) or debug.setupvalue(info.func, n, 1) then found = found + 1 end
            local kept
            local function mine() return kept end
            if pcall(debug.upvaluejoin, mine, 1, info.func, n) or pcall(debug.upvaluejoin, info.func, n, mine, 1) then found = found + 1 end
          end
        end
      end
      setmetatable({}, { __gc = look })
    end
    setmetatable({}, { __gc = look })
    collectgarbage('incremental', 100, 1000)
    httpd.register_handler('/run', function(env) httpd.write(nil, own .. ' ' .. found) end)`);
  try {
    let [own, found] = [0, 0];
    for (let i = 0; i < 5000 && own === 0; i++)
      [own, found] = (await harness.request('/run')).text.split(' ').map(Number) as [number, number];
    assert.ok(own > 0, 'a finaliser has run there');
    assert.equal(found, 0);
  } finally {
    await harness.close();
  }
});
