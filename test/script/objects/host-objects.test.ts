/** Userdata of host objects: with another kind, another metatable, or after their end, they give an argument error. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keepsItsState, outputOf, ScriptHarness } from '../../support/script-harness.ts';
import { plainUpstream, type Upstream } from '../../support/upstream.ts';

const output = (body: string): Promise<string> => outputOf(body, {}, keepsItsState);

async function withUpstream<T>(use: (upstream: Upstream) => Promise<T>): Promise<T> {
  const upstream = await plainUpstream((_request, response) => response.end('x'.repeat(100_000)));
  try {
    return await use(upstream);
  } finally {
    await upstream.close();
  }
}

test('A method of a dictionary called on a file with its metatable is an argument error', async () => {
  const text = await output(`local file = io.tmpfile()
    local meta = debug.getmetatable(httpd.shared 'x')
    debug.setmetatable(file, meta)
    say(pcall(function() return file:get 'k' end))`);
  assert.match(text, /^false script\.lua:\d+: calling 'get' on bad self \(httpd\.shared expected, got /);
});

test('Every function and method refuses every value of another kind, under every metatable, and the state serves on', () =>
  withUpstream(async ({ url }) => {
    const text = await output(`
      local made = {
        file = function() return io.tmpfile() end, closed = function() local f = io.tmpfile() f:close() return f end,
        stream = function() return (httpd.fetch('${url}')) end,
        ended = function() local r = httpd.fetch('${url}') httpd.close(r) return r end,
        shared = function() return httpd.shared 'objects' end, task = function() return httpd.spawn(function() end) end,
        timer = function() return httpd.timer(1000, function() end) end,
        null = function() return httpd.json.null end, body = function() return httpd.body end,
        id = function() return debug.upvalueid(function() return env end, 1) end,
      }
      local kinds = { FILE = io.stdout, stream = made.stream(), shared = made.shared(), task = made.task(), timer = made.timer() }
      local functions = { httpd.read, httpd.write, httpd.close, httpd.copy, httpd.wait, httpd.kill, io.close, io.type, io.lines,
        io.input, io.output, tostring, httpd.json.encode, httpd.json.array, function(v) return httpd.fetch('${url}', { body = v }) end,
        function(v) return httpd.fetch('${url}', v) end, function(v) return httpd.sendfile(v) end, httpd.header, httpd.trailer, httpd.query }
      local methods = {}
      for _, object in pairs(kinds) do
        local meta = debug.getmetatable(object)
        for _, f in pairs(meta) do if type(f) == 'function' then methods[#methods + 1] = f end end
        for _, f in pairs(type(meta.__index) == 'table' and meta.__index or {}) do methods[#methods + 1] = f end
      end
      local metas = { false }
      for _, object in pairs(kinds) do metas[#metas + 1] = debug.getmetatable(object) end
      local calls, odd = 0, {}
      local function try(name, f, ...)
        calls = calls + 1
        local ok, message = pcall(f, ...)
        if not ok and (type(message) ~= 'string' or message:find('TypeError') or message:find('undefined')
          or message:find('of null') or message:find('is not a function')) then odd[#odd + 1] = name .. ': ' .. tostring(message) end
      end
      for name, make in pairs(made) do
        for _, meta in ipairs(metas) do
          local value
          for _, list in ipairs{ functions, methods } do for _, f in ipairs(list) do
            -- a new value where it costs little
            if not value or name ~= 'stream' and name ~= 'ended' then value = make() end
            local before = debug.getmetatable(value)
            if meta then debug.setmetatable(value, meta) end
            try(name, f, value) try(name, f, value, 'a', 1)
            if type(value) == 'userdata' then pcall(debug.setuservalue, value, 5, 1) try(name, function() return value.status end) end
            debug.setmetatable(value, before)
            if name == 'file' then pcall(value.close, value) elseif name == 'timer' then value:cancel() end
            io.output(io.stdout) io.input(io.stdin)
          end end
        end
      end
      say(calls > 1000, #odd, table.concat(odd, ' '))`);
    assert.equal(text, 'true 0 \n');
  }));

test('A file, response or task of one request is refused or served in another, never mistaken', () =>
  withUpstream(async ({ url }) => {
    const harness = await ScriptHarness.load(`httpd = require 'httpd'
      httpd.register_handler('/make', function()
        task = httpd.spawn(function() httpd.sleep(0.001) end) response = httpd.fetch('${url}') file = io.open('script.lua')
        httpd.wait(task) httpd.write(nil, 'made')
      end)
      httpd.register_handler('/use', function()
        local function say(...) httpd.write(nil, table.concat({...}, ' ') .. '\\n') end
        say(select(2, pcall(httpd.wait, task))) say(select(2, pcall(httpd.kill, task)))
        say(select(2, pcall(httpd.read, response, 'a'))) say(#file:read('a') > 100 and 'read' or 'empty')
      end)`);
    try {
      assert.equal((await harness.request('/make')).text, 'made');
      const lines = (await harness.request('/use')).text.split('\n');
      assert.match(lines[0] as string, /bad argument #1 to .*\(task of another request or timer\)$/);
      assert.match(lines[1] as string, /bad argument #1 to .*\(task of another request or timer\)$/);
      assert.match(lines[2] as string, /attempt to use a closed stream$/);
      assert.equal(lines[3], 'read');
      assert.ok(!harness.log.includes('error abandoned'));
    } finally {
      await harness.close();
    }
  }));

test('Tasks that read one response share its body, and none waits for ever', () =>
  withUpstream(async ({ url }) => {
    const text = await output(`local r = httpd.fetch('${url}')
      local function count(n) local sum = 0 for s in function() return httpd.read(r, n) end do sum = sum + #s end return sum end
      local tasks = { httpd.spawn(count), httpd.spawn(count, 1000), httpd.spawn(count, 7), httpd.spawn(function() return #httpd.read(r, 'a') end) }
      local sum = 0
      for _, task in ipairs(tasks) do local _, ok, n = httpd.wait(task) sum = sum + n end
      say(sum)`);
    assert.equal(text, '100000\n');
  }));
