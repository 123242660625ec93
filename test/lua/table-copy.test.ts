import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TableCopier } from '../../src/lua/table-copy.ts';
import { LuaWorld } from '../support/lua-world.ts';

/** A world with `copy(from, to)`, which returns `to`, and with what the texts below say of tables. */
async function worldWithCopy(): Promise<LuaWorld> {
  const world = await LuaWorld.create();
  const { state } = world;
  const copier = new TableCopier(state);
  assert.ok(copier.fits, 'the tables of this build of Lua are copied by block');
  const { copy } = state.addFunctions({
    copy: (L) => {
      copier.copy(L);
      return 1;
    },
  });
  state.exports.lua_pushcclosure(state.mainThread, copy, 0);
  state.exports.lua_setglobal(state.mainThread, state.memory.constant('copy'));
  world.evaluate(`
    function same(a, b)
      local count = 0
      for k, v in pairs(a) do assert(rawequal(b[k], v), k) count = count + 1 end
      for k, v in next, b do assert(rawequal(a[k], v), k) count = count - 1 end
      return count == 0
    end
    function named(n)
      local t = {}
      for i = 1, n do t['name ' .. i] = ('a value %d that is too long to be kept once'):format(i) end
      return t
    end`);
  return world;
}

test('TableCopier copies tables of every size, and the copy goes its own way', async () => {
  const world = await worldWithCopy();
  const results = await world.evaluateLong(`
    for n = 0, 600 do
      local from, before = named(n), named(n)
      local to = copy(from, {})
      assert(same(from, to), n)
      -- room is found for more, old entries change and go, and none of it is seen in the other
      for i = 1, 20 do to['further ' .. i] = i end
      for i = 1, n do
        if i % 3 == 0 then to['name ' .. i] = nil elseif i % 3 == 1 then to['name ' .. i] = i end
      end
      assert(same(from, before), n)
      for i = 1, n do
        local wanted = before['name ' .. i]
        if i % 3 == 0 then wanted = nil elseif i % 3 == 1 then wanted = i end
        assert(rawequal(to['name ' .. i], wanted))
      end
      for i = 1, 20 do assert(to['further ' .. i] == i) end
      from['name 1'] = 'changed'
      assert(n == 0 or to['name 1'] == 1)
    end
    return 'done'`);
  assert.deepEqual(results, ['done']);
});

test('TableCopier copies what has an array or other keys than names, too', async () => {
  const world = await worldWithCopy();
  const results = await world.evaluateLong(`
    local key, f = {}, function() end
    for _, from in ipairs {
      {}, { 1, 2, 3 }, { 1, 2, 3, n = 3 }, { [1] = 'a', [0] = 'b', [-7] = 'c', [2.5] = 'd' },
      { [key] = f, [f] = key, [true] = false, [false] = 0 }, { [math.maxinteger] = 1, [math.mininteger] = 2 },
    } do
      assert(same(from, copy(from, {})))
    end
    -- an entry that was taken out leaves a dead key behind
    local from = named(40)
    for i = 1, 40, 2 do from['name ' .. i] = nil end
    collectgarbage()
    local to = copy(from, {})
    assert(same(from, to))
    for i = 1, 40 do to['name ' .. i] = i end
    for i = 1, 40 do assert(to['name ' .. i] == i) end
    return 'done'`);
  assert.deepEqual(results, ['done']);
});

test('TableCopier leaves the metatable of the copy, whose known lacks are forgotten', async () => {
  const world = await worldWithCopy();
  const results = await world.evaluateLong(`
    local meta = {}
    local to = setmetatable({}, meta)
    assert(to.nothing == nil)
    copy(named(5), to)
    assert(getmetatable(to) == meta)
    -- a table that becomes a metatable by copying
    local kind = {}
    local object = setmetatable({}, kind)
    assert(object.colour == nil)
    copy({ __index = { colour = 'red' } }, kind)
    return object.colour`);
  assert.deepEqual(results, ['red']);
});

for (const mode of ['incremental', 'generational']) {
  test(`TableCopier and the ${mode} collector`, async () => {
    const world = await worldWithCopy();
    const results = await world.evaluateLong(`
      collectgarbage('${mode}')
      local templates, kept = {}, {}
      for i = 1, 40 do templates[i] = named(i) end
      collectgarbage()
      local base = collectgarbage('count')
      for round = 1, 6000 do
        local n = round % 40 + 1
        local to = {}
        -- tables of every age, looked at and not looked at by the collector
        if round % 3 == 0 then kept[round % 100] = to end
        if round % 7 == 0 then collectgarbage('step', 1) end
        if round % 501 == 0 then collectgarbage() end
        -- entries that are gone leave room behind
        to.before = 1 to.before = nil
        copy(templates[n], to)
        kept[round % 100] = to
        to.fresh = 'made of parts ' .. round
        if round % 5 == 0 then templates[n] = named(n) end
      end
      for i = 5901, 6000 do
        local to = kept[i % 100]
        assert(to.fresh == 'made of parts ' .. i)
        for k, v in pairs(named(i % 40 + 1)) do assert(to[k] == v) end
      end
      kept, templates = nil, {}
      for i = 1, 40 do templates[i] = named(i) end
      collectgarbage() collectgarbage()
      return collectgarbage('count') - base < 16`);
    assert.deepEqual(results, ['true']);
  });
}
