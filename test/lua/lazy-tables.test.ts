import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LuaThread } from '../../src/lua/lua-exports.ts';
import { LuaWorld } from '../support/lua-world.ts';

/** What lazy tables are filled from: a string of each call, or a table for many calls. */
const FORMS = ['own facts', 'prepared facts'] as const;

/** A world whose global `t` is a lazy table {a = 'A', b = 'B', [1] = 'one', n = <number>}. */
async function worldWithTable(form: (typeof FORMS)[number]): Promise<{
  world: LuaWorld;
  fills: () => number;
  renew: (n?: number) => void;
}> {
  const world = await LuaWorld.create();
  const { state, lazyTables } = world;
  const L = state.mainThread;
  let fills = 0;
  world.fill = (T: LuaThread, argument: 0 | 1, number: number): void => {
    fills += 1;
    const n = argument === 0 ? String(number) : 'none';
    for (const [key, value] of Object.entries({ a: 'A', b: 'B', n })) {
      state.pushString(T, value);
      state.exports.lua_setfield(T, -2, state.memory.constant(key));
    }
    state.pushString(T, 'one');
    state.exports.lua_rawseti(T, -2, 1n);
  };
  state.load(L, Buffer.from('t, other = ...'), '=test');
  lazyTables.wrap(L);
  const setGlobals = state.keep(L);
  state.exports.lua_createtable(L, 0, 0);
  lazyTables.prepare(L);
  const prepared = state.keep(L);
  const renew = (n = 0): void => {
    state.pushReference(L, setGlobals);
    if (form === 'own facts') state.pushString(L, `of ${n}`);
    else state.pushReference(L, prepared);
    lazyTables.pushNumber(L, n);
    if (form === 'own facts') state.exports.lua_pushboolean(L, 1);
    state.call(L, form === 'own facts' ? 3 : 2, 0);
  };
  renew();
  return { world, fills: () => fills, renew };
}

const CASES: Readonly<Record<string, readonly [source: string, expected: string]>> = {
  index: ['return t.a', 'A'],
  'an absent key': ['return t.zzz', 'nil'],
  pairs: ['local n = 0 for k, v in pairs(t) do n = n + 1 end return n', '4'],
  'next as a function': ['local n, k = 0, next(t) while k do n = n + 1 k = next(t, k) end return n', '4'],
  'next with a key': ['return (next(t, "a")) ~= nil or next(t, "b") ~= nil', 'true'],
  ipairs: ['for i, v in ipairs(t) do return v end', 'one'],
  length: ['return #t', '1'],
  rawlen: ['return rawlen(t)', '1'],
  rawget: ['return rawget(t, "b")', 'B'],
  rawset: ['rawset(t, "a", "new") return t.a .. t.b', 'newB'],
  'assignment of a new key': ['t.c = "C" return t.a .. t.c', 'AC'],
  'assignment of a known key': ['t.a = "mine" return t.a .. t.b', 'mineB'],
  'assignment of nil': ['t.a = nil return tostring(t.a) .. t.b', 'nilB'],
  getmetatable: ['return tostring(getmetatable(t)) .. rawget(t, "a")', 'nilA'],
  'debug.getmetatable': ['return tostring(debug.getmetatable(t)) .. rawget(t, "a")', 'nilA'],
  setmetatable: ['return setmetatable(t, {__index = function() return "other" end}).a .. t.zzz', 'Aother'],
  'debug.setmetatable': [
    'return debug.setmetatable(t, {__index = function() return "other" end}).a .. t.zzz',
    'Aother',
  ],
  'table.concat': ['return table.concat(t)', 'one'],
  'table.unpack': ['return (table.unpack(t))', 'one'],
  'table.insert': ['table.insert(t, "two") return t[2] .. t.a', 'twoA'],
  'table.remove': ['return table.remove(t) .. #t .. t.a', 'one0A'],
  'table.move': ['return table.move(t, 1, 1, 2, {})[2]', 'one'],
  'table.sort': ['t[2] = "a" table.sort(t) return t[1] .. t[2] .. t.b', 'aoneB'],
  'an environment': ['local _ENV = t return a .. b', 'AB'],
  'load with it as environment': ['return load("return a .. b", "=c", "t", t)()', 'AB'],
  'an __index of another table': ['return setmetatable({}, {__index = t}).a', 'A'],
  'rawequal and identity': ['return tostring(rawequal(t, t) and t == t and ({[t] = 1})[t])', '1'],
  'a generic for over next': ['local n = 0 for k in next, t do n = n + 1 end return n', '4'],
};

for (const form of FORMS) {
  for (const [name, [source, expected]] of Object.entries(CASES)) {
    test(`A lazy table of ${form} is filled by ${name}`, async () => {
      for (const table of ['t', 'other']) {
        const { world, fills } = await worldWithTable(form);
        world.evaluate(`t, other = ${table}, nil`);
        assert.deepEqual(world.evaluate(source), [expected]);
        assert.equal(fills(), name === 'rawequal and identity' ? 0 : 1);
        assert.deepEqual(world.evaluate('return rawget(t, "b")'), ['B']);
        assert.equal(fills(), 1);
      }
    });
  }

  test(`A lazy table of ${form} that is filled holds nothing but its values`, async () => {
    const { world } = await worldWithTable(form);
    const types = 'for k, v in pairs(t) do if type(k) == "userdata" then return "a key of ours" end end';
    assert.deepEqual(world.evaluate(`${types} t = other ${types} return t.n`), ['none']);
  });
}

test('A lazy table nobody looks at is never filled, and forgotten', async () => {
  const { world, fills, renew } = await worldWithTable('own facts');
  for (let i = 0; i < 5000; i++) renew(i);
  world.evaluate('t = nil collectgarbage()');
  for (let i = 0; i < 3000; i++) renew(i);
  assert(fills() < 5000 / 4, `${fills()} of 5000 tables were filled`);
});

for (const form of FORMS)
  test(`A lazy table of ${form} that is kept sees its own values after thousands of others`, () =>
    keepsItsValues(form));

async function keepsItsValues(form: (typeof FORMS)[number]): Promise<void> {
  const { world, renew } = await worldWithTable(form);
  world.evaluate('kept = {}');
  for (let i = 1; i <= 4000; i++) {
    renew(i);
    if (i % 100 === 0) world.evaluate(`kept[${i}] = t`);
    if (i % 500 === 0) world.evaluate('collectgarbage()');
  }
  assert.deepEqual(
    world.evaluate(
      `local wrong, count = 0, 0 for i, k in pairs(kept) do count = count + 1 if tonumber(k.n) ~= i then wrong = wrong + 1 end end return count, wrong`,
    ),
    ['40', '0'],
  );
}

test('An ordinary table at the address of a collected lazy one stays ordinary', async () => {
  const { world, renew } = await worldWithTable('prepared facts');
  for (let round = 0; round < 50; round++) {
    for (let i = 0; i < 100; i++) renew(i);
    world.evaluate('t = nil collectgarbage()');
    assert.deepEqual(
      world.evaluate(`local all = {} for i = 1, 300 do all[i] = {} end
        for i = 1, 300 do if next(all[i]) ~= nil or rawget(all[i], 'a') or getmetatable(all[i]) then return 'filled' end end return 'empty'`),
      ['empty'],
    );
  }
});
