/** `httpd.shared` from the side of scripts: methods, results, failures and misuse. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';

/** Resolves with the answer of a handler whose `d` is a dictionary. */
async function say(body: string): Promise<string> {
  const harness = await ScriptHarness.run(`local d = httpd.shared('test') ${body}`);
  try {
    const output = await harness.output();
    await harness.expectNothingOpen();
    return output;
  } finally {
    await harness.close();
  }
}

test('httpd.shared() keeps booleans, integers, floats and binary strings as they are', async () => {
  const output = await say(`
    local values = { true, false, 0, -1, math.maxinteger, math.mininteger, 1.5, -0.0, 1/0, 2^53, '', 'text',
      '\\0\\255\\n', ('x'):rep(1000), ('\\0y'):rep(100000) }
    for i, v in ipairs(values) do
      assert(d:set('k' .. i, v) == true)
    end
    for i, v in ipairs(values) do
      local got = d:get('k' .. i)
      assert(got == v and math.type(got) == math.type(v), i)
    end
    say(1 / d:get('k8'), #d:keys(), d:get('absent'))`);
  assert.equal(output, '-inf 15 nil\n');
});

test('httpd.shared() gives the same dictionary under the same name, and another under another', async () => {
  const output = await say(`
    d:set('k', 1)
    say(httpd.shared('test'):get('k'), httpd.shared('other'):get('k'))`);
  assert.equal(output, '1 nil\n');
});

test('add and replace look whether there is an entry', async () => {
  const output = await say(`
    say(d:replace('k', 1))
    say(d:add('k', 2))
    say(d:add('k', 3))
    say(d:replace('k', 4))
    say(d:get('k'))`);
  assert.equal(
    output,
    'nil There is no entry "k" notfound\ntrue\nnil There is an entry "k" already refused\ntrue\n4\n',
  );
});

test('set of nil and delete remove an entry', async () => {
  const output = await say(`
    d:set('a', 1) d:set('b', 2)
    say(d:set('a', nil), d:get('a'))
    say(d:delete('b'), d:delete('b'), d:get('b'), #d:keys())`);
  assert.equal(output, 'true nil\ntrue false nil 0\n');
});

test('incr adds, keeps integers, and begins where it is told to', async () => {
  const output = await say(`
    say(d:incr('k'))
    say(d:incr('k', 1, 0), d:incr('k', 1, 0), d:incr('k'), d:incr('k', -5))
    say(d:incr('k', 0.5), d:incr('k', 1))
    say(d:incr('big', 1, math.maxinteger - 1))
    say(d:incr('big'))
    say(d:get('big') == math.maxinteger)
    d:set('s', '5')
    say(d:incr('s'))`);
  assert.equal(
    output,
    'nil There is no entry "k" notfound\n1 2 3 -2\n-1.5 -0.5\n' +
      '9223372036854775807\n' +
      'nil The sum of "big" leaves the integers of 64 bits limit\ntrue\n' +
      'nil The value of "s" is not a number invalid\n',
  );
});

test('Entries end when their time is over, and ttl tells how long they have', async () => {
  const output = await say(`
    d:set('timed', 1, 60) d:set('for ever', 1) d:incr('n', 1, 0, 1000)
    local left = d:ttl('timed')
    say(left > 0 and left <= 60, d:ttl('for ever'), d:ttl('absent'))
    say(d:ttl('n') > 900, d:incr('n', 1, 0, 5000), d:ttl('n') <= 1000)
    d:set('kept', 1, 60) d:expire('timed', 0.02)
    say(d:expire('kept', 600), d:ttl('kept') > 60, d:expire('absent', 1))
    d:set('k', 1, 0.02)
    httpd.sleep(0.03)
    say(d:get('timed'), d:get('k'), (d:ttl('k')), d:add('k', 2), d:get('kept'), #d:keys())
    say(d:expire('kept', 0), d:ttl('kept'))`);
  assert.equal(
    output,
    'true 0.0 nil There is no entry "absent" notfound\ntrue 2 true\n' +
      'true true nil There is no entry "absent" notfound\n' +
      'nil nil nil true 1 4\n' +
      'true 0.0\n',
  );
});

test('keys gives those used last first, at most as many as asked for; flush removes all', async () => {
  const output = await say(`
    for i = 1, 2000 do d:set('k' .. i, i) end
    d:get('k7')
    local keys = d:keys(3)
    say(table.concat(keys, ' '), #d:keys(), #d:keys(65536))
    say(d:flush(), #d:keys(), d:get('k7'))`);
  assert.equal(output, 'k7 k2000 k1999 1024 2000\ntrue 0 nil\n');
});

test('A value larger than the dictionary and a key that is too long are refused, and change nothing', async () => {
  const output = await say(`
    d:set('k', 1)
    say(d:set('k', ('x'):rep(17 * 1024 * 1024)))
    say(select('#', d:set(('x'):rep(1024), 1)), (d:set(('x'):rep(1025), 1)))
    say(select(3, d:incr(('x'):rep(1025), 1, 0)), d:get(('x'):rep(1025)), d:delete(('x'):rep(1025)))
    say(d:get('k'))`);
  assert.equal(
    output,
    'nil Cannot store "k": a value of 17825792 bytes is larger than the dictionary limit\n1 nil\nlimit nil false\n1\n',
  );
});

test('No more than 16 dictionaries come up without having been declared', async () => {
  const output = await say(`
    for i = 2, 16 do assert(httpd.shared('d' .. i)) end
    say(httpd.shared('one-more'))
    say(httpd.shared('d16') ~= nil)`);
  assert.equal(
    output,
    'nil Cannot open dictionary "one-more": 16 undeclared ones are in use and the limit is 16 limit\ntrue\n',
  );
});

test('Misuse is a Lua error that names the place', async () => {
  const output = await say(`
    local function failure(f, ...) return (select(2, pcall(f, ...)):gsub('^.*script.lua', 'script.lua')) end
    say(failure(function() d:set('k', {}) end))
    say(failure(function() d:set() end))
    say(failure(function() d:set('k', 1, -1) end))
    say(failure(function() d:set('k', 1, 0/0) end))
    say(failure(function() d:incr('k', '1') end))
    say(failure(function() d:incr('k', 1, 'x') end))
    say(failure(function() d:keys(0) end))
    say(failure(function() d:expire('k') end))
    say(failure(function() d.get('k', 'k') end))
    say(failure(function() httpd.shared('a b') end))
    say(failure(function() httpd.shared('') end))
    say(failure(function() d:add('k', nil) end))
    say(getmetatable(d))`);
  const place = /^script\.lua:\d+: /;
  const lines = output.trimEnd().split('\n');
  assert.equal(lines.pop(), 'false');
  for (const line of lines) assert.match(line, place);
  assert.deepEqual(
    lines.map((line) => line.replace(place, '')),
    [
      "bad argument #2 to 'set' (boolean, number or string expected, got table)",
      "bad argument #1 to 'set' (string expected, got no value)",
      "bad argument #3 to 'set' (seconds, 0 or more, expected)",
      "bad argument #3 to 'set' (seconds, 0 or more, expected)",
      "bad argument #2 to 'incr' (number expected, got string)",
      "bad argument #3 to 'incr' (number expected, got string)",
      "bad argument #1 to 'keys' (1 to 65536 expected)",
      "bad argument #2 to 'expire' (number expected, got no value)",
      "bad argument #1 to 'get' (httpd.shared expected, got string)",
      'bad argument #1 to \'shared\' (1 to 63 of letters, digits, "_", "." and "-" expected)',
      'bad argument #1 to \'shared\' (1 to 63 of letters, digits, "_", "." and "-" expected)',
      "bad argument #2 to 'add' (boolean, number or string expected, got nil)",
    ],
  );
});

test('httpd.shared() works while a script is loaded', async () => {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    local d = assert(httpd.shared('loading'))
    d:set('k', 'early')
    httpd.register_handler('/run', function() httpd.write(nil, d:get('k')) end)`,
  );
  try {
    assert.equal(await harness.output(), 'early');
  } finally {
    await harness.close();
  }
});
