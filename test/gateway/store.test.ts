/** Dictionaries in a store as scripts see them: every method, the options, a store that is away, and what the log tells. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { RedisProcess } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
local function show(...)
    local values = table.pack(...)
    for i = 1, values.n do values[i] = math.type(values[i]) and ('%s:%s'):format(math.type(values[i]), values[i]) or tostring(values[i]) end
    return table.concat(values, ' ')
end
-- long enough for a store that stands still for a while
local patient = {timeout = 30}
local top = show(httpd.shared('top', patient):set('a', 1))
httpd.register_handler('/all', function(env)
    local d = httpd.shared(env.QUERY_INFO, patient)
    local out = {}
    local function tell(...) out[#out + 1] = show(...) end
    tell(d:flush()) tell(d:get('x')) tell(select(3, d:incr('x'))) tell(d:incr('x', 2, 5, 3600)) tell(d:incr('x', 0.5))
    tell(d:ttl('x') > 3000 and d:ttl('x') <= 3600) tell(d:set('s', 'a\\0b\\255')) tell(d:get('s') == 'a\\0b\\255') tell(select(3, d:add('s', 1)))
    tell(d:replace('s', false)) tell(d:get('s')) tell(select(3, d:replace('none', 1))) tell(d:set('big', math.mininteger)) tell(d:get('big'))
    tell(select(3, d:incr('big', -1))) tell(select(3, d:incr('s'))) tell(d:expire('s', 0)) tell(d:ttl('s')) tell(select(3, d:expire('none', 1)))
    tell(select(3, d:ttl('none'))) tell(d:delete('s')) tell(d:delete('s')) tell(d:set('x', nil)) tell(d:get('x'))
    tell(table.concat(d:keys(), ',')) tell(select(3, d:set(('k'):rep(1025), 1))) tell(d:set('v', ('v'):rep(4194303))) tell(#d:get('v')) tell(d:delete('v'))
    tell(d:get(('k'):rep(1025))) tell(d:delete(('k'):rep(1025))) tell(d:set('nan', 0/0)) tell(d:get('nan') ~= d:get('nan')) tell(d:set('inf', -math.huge)) tell(d:get('inf'))
    -- what the manual has in its table of differences
    tell(select(3, d:set('v', ('v'):rep(4194304)))) tell(d:delete('v')) tell(d:expire('inf', 1e300)) tell(d:ttl('inf') > 1e12) tell(d:incr('far', 1, 0, 1e13)) tell(d:ttl('far') > 1e12)
    tell(d:set('part', 1, 0.0001)) tell((pcall(string.gsub, 'x', 'x', function() d:get('x') end))) tell((pcall(table.sort, {2, 1}, function(x, y) d:get('x') return x < y end)))
    tell(tostring(d):match('^[^:]+'))
    httpd.write(nil, table.concat(out, '\\n'))
end)
httpd.register_handler('/top', function() httpd.write(nil, top .. ' ' .. show(httpd.shared('top', patient):get('a'))) end)
httpd.register_handler('/misuse', function()
    local d = httpd.shared('misuse')
    local out = {}
    for _, run in ipairs{
        function() d:get() end, function() d:set('k', {}) end, function() d:incr('k', 'x') end, function() d:set('k', 1, -1) end,
        function() d:keys(0) end, function() d.get({}, 'k') end, function() httpd.shared('misuse', {fast = true}) end,
        function() httpd.shared('misuse', {timeout = 61}) end, function() httpd.shared('misuse', {near = 1}) end, function() httpd.shared('a b') end,
        function() table.sort({2, 1}, function() d:get('k') end) end,
    } do
        out[#out + 1] = tostring(select(2, pcall(run))):gsub('^.-:%d+: ', '')
    end
    httpd.write(nil, table.concat(out, '\\n'))
end)
httpd.register_handler('/near', function()
    local d = httpd.shared('near', {near = true, timeout = 30})
    d:set('a', 'one')
    local first, second = d:get('a'), d:get('a')
    httpd.shared('near', patient):set('a', 'two')
    httpd.write(nil, first .. second .. d:get('a'))
end)
httpd.register_handler('/many', function()
    local tasks, sum = {}, 0
    for i = 1, 200 do tasks[i] = httpd.spawn(function() return httpd.shared('many', patient):incr('n', 1, 0) end) end
    local seen = {}
    for _, task in ipairs(tasks) do
        local _, _, n = httpd.wait(task)
        assert(not seen[n])
        seen[n], sum = true, sum + n
    end
    httpd.write(nil, show(sum))
end)
httpd.register_handler('/memory', function()
    local d = httpd.shared('sized')
    d:set('a', 1)
    httpd.write(nil, tostring(d):match('^[^:]+') .. ' ' .. show(d:get('a')))
end)
httpd.register_handler('/ask', function()
    local d = httpd.shared('away', {timeout = 5})
    local stale = httpd.shared('away', {stale = true, timeout = 5})
    local old, mark = stale:get('a')
    httpd.write(nil, show(select(3, d:incr('n', 1, 0))) .. ' ' .. show(old, mark))
end)
httpd.register_handler('/set', function() httpd.write(nil, show(httpd.shared('away', patient):set('a', 'kept'), httpd.shared('away', {stale = true, timeout = 30}):get('a'))) end)`;

let redis: RedisProcess;
let gateway: TestGateway;
before(async () => {
  redis = await RedisProcess.start(['--requirepass', 'topsecret']);
  gateway = await TestGateway.start(
    { '/': SCRIPT },
    {
      keeps: true,
      words: [
        '--store',
        `redis://:topsecret@127.0.0.1:${redis.port}`,
        '--shared',
        'sized=64K',
        '--shared',
        'roomy=16M',
      ],
    },
  );
});
after(async () => {
  await gateway?.stop();
  await redis?.stop();
});

async function textOf(path: string): Promise<string> {
  return (await gateway.ask('h2', path)).text;
}

test('Every method means what it means in memory, but for what the manual says', async () => {
  const inMemory = (await textOf('/all?roomy')).split('\n');
  const inStore = (await textOf('/all?all')).split('\n');
  const common = [
    ...['true', 'nil', 'notfound', 'integer:7', 'float:7.5'],
    ...['true', 'true', 'true', 'refused'],
    ...['true', 'false', 'notfound', 'true', 'integer:-9223372036854775808'],
    ...['limit', 'invalid', 'true', 'float:0.0', 'notfound'],
    ...['notfound', 'true', 'false', 'true', 'nil'],
    ...['big', 'limit', 'true', 'integer:4194303', 'true'],
    ...['nil', 'false', 'true', 'true', 'true', 'float:-inf'],
  ];
  const differences = [
    ...['', 'true', 'true', 'true', 'integer:1', 'true'],
    ...['true', 'true', 'true'],
    'httpd.shared',
  ];
  assert.deepEqual(inMemory, [...common, ...differences]);
  assert.deepEqual(inStore, [
    ...common,
    ...['limit', 'false', 'true', 'false', 'integer:1', 'false'],
    ...['true', 'false', 'false'],
    'httpd.shared in a store',
  ]);
});

test('A script may use a store while it is loaded', async () => {
  assert.equal(await textOf('/top'), 'true integer:1');
});

test('Misuse is an error with its place', async () => {
  const messages = (await textOf('/misuse')).split('\n');
  const expected = [
    /string expected, got no value/,
    /boolean, number or string expected, got table/,
    /number expected, got string/,
    /seconds, 0 or more, expected/,
    /1 to 65536 expected/,
    /expected, got table/,
    /has no option "fast"/,
    /above its limit of 60 s/,
    /option "near" is a number/,
    /1 to 63 of letters/,
    /cannot wait for a store here/,
  ];
  assert.equal(messages.length, expected.length);
  for (const [i, pattern] of expected.entries()) assert.match(messages[i] ?? '', pattern);
});

test('Values near are those of the store, own changes among them', async () => {
  assert.equal(await textOf('/near'), 'oneonetwo');
});

test('Tasks that ask at the same time count each for itself', async () => {
  assert.equal(await textOf('/many'), 'integer:20100');
});

test('A dictionary that has a size stays in memory', async () => {
  assert.equal(await textOf('/memory'), 'httpd.shared integer:1');
});

test('While the store is away calls are refused, old values may be read, and the log tells without the password', async () => {
  assert.equal(await textOf('/set'), 'true kept');
  await redis.kill();
  await gateway.untilLog(/Store redis:\S+ is away/);
  assert.match(await textOf('/ask'), /^(refused|timeout) kept stale$/);
  await eventually(async () => assert.equal((await gateway.counters()).storesAway, 1));
  await redis.restart();
  await gateway.untilLog(/Store redis:\S+ answers again/);
  // each thread has a connection, which tries again in its own time
  await eventually(async () => assert.equal(await textOf('/ask'), ' nil nil'));
  await eventually(async () => assert.equal((await gateway.counters()).storesAway, 0));
  assert.ok(!gateway.log.includes('topsecret'));
});
